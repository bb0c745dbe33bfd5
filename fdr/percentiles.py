"""Samples of durations and the percentiles they can carry. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Sequence

MEDIAN, P95, P99, MAXIMUM = 0.5, 0.95, 0.99, 1.0


@dataclass(frozen=True, slots=True)
class Summary:
    """A distribution of seconds in five numbers; None where the sample is too small to say."""

    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None
    sample: int


@dataclass(frozen=True, slots=True)
class Slice:
    """The seconds measured for one phase of one sort of thing.

    ``labels`` say which sort: experiment and RSE of an upload, experiment of a rule, source and
    destination of a transfer.
    """

    phase: str
    labels: tuple[tuple[str, str], ...]
    seconds: array[float] = field(repr=False)

    def matches(self, phase: str, labels: Iterable[tuple[str, str]]) -> bool:
        """Say whether this slice is of the phase and carries every one of the labels."""
        return self.phase == phase and all(label in self.labels for label in labels)


def needed_sample(quantile: float) -> int:
    """Return how many values a quantile needs before it can be told from the maximum.

    With fewer than 1 / (1 - q) values the nearest-rank quantile is the greatest value itself, so a p99 of
    fifty values says nothing that the maximum does not: p50 needs 2 values, p95 20, p99 100. The maximum
    needs 1.
    """
    if quantile >= 1:
        return 1
    return math.ceil(round(1 / (1 - quantile), 6))


def percentile(ordered: Sequence[float], quantile: float) -> float | None:
    """Return the quantile (0 to 1) of values in ascending order, None if there are too few.

    Nearest rank: the smallest value that at least a share q of the values does not exceed (Hyndman and
    Fan 1996, definition 1). It is always a value that was measured.
    """
    count = len(ordered)
    if count < needed_sample(quantile):
        return None
    rank = math.ceil(round(quantile * count, 6))
    return ordered[max(rank, 1) - 1]


def summarize(ordered: Sequence[float]) -> Summary:
    """Return p50, p95, p99 and the maximum of values in ascending order."""
    return Summary(
        p50=percentile(ordered, MEDIAN),
        p95=percentile(ordered, P95),
        p99=percentile(ordered, P99),
        max=percentile(ordered, MAXIMUM),
        sample=len(ordered),
    )


def ordered_seconds(
    slices: Iterable[Slice], phase: str, labels: Iterable[tuple[str, str]] = ()
) -> list[float]:
    """Return the values of every slice of a phase that carries the labels, in ascending order."""
    wanted = tuple(labels)
    values: list[float] = []
    for piece in slices:
        if piece.matches(phase, wanted):
            values.extend(piece.seconds)
    values.sort()
    return values
