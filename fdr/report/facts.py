"""What every section of a report is made from. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from fdr.judgement import Judgement
from fdr.metrics import Metrics
from fdr.model import Did, Rse, Verdict


@dataclass(frozen=True, slots=True)
class Facts:
    """The numbers of a run, what they were judged to be, and the names a reader needs.

    ``doubts`` say what keeps the run from passing besides its objectives. ``dids`` names the files and
    datasets of the actions that stand as examples.
    """

    metrics: Metrics
    judgements: tuple[Judgement, ...]
    verdict: Verdict
    doubts: tuple[str, ...]
    rses: Mapping[str, Rse]
    dids: Mapping[int, Did]


def timestamp(at: float | None) -> str | None:
    """Return Unix seconds as ISO 8601 in UTC, to the millisecond; None of None."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def told(number: float | None, digits: int = 6) -> float | None:
    """Return a measurement without digits that nobody measured."""
    return None if number is None else round(number, digits)
