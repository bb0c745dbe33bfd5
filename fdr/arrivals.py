"""When files are due: arrival processes over a duration, dataset by dataset. Pure."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

from fdr.draw import draws, stream_within
from fdr.model import Arrivals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NORMAL = NormalDist()


def due_times(
    arrivals: Arrivals, files: int, per_dataset: int, duration_s: float, key: bytes
) -> Callable[[int], Iterator[float]]:
    """Return the function that yields the due times of a dataset, by its number, in seconds and in order.

    The datasets' times, one after the other, are ``files`` times from 0 to ``duration_s`` in order. Those of
    one dataset cost nothing for the others, so that a shard of a plan costs its share. ``key`` is the stream
    that a random process draws from.
    """
    match arrivals:
        case Arrivals.CONSTANT:
            return lambda dataset: _constant(_members(dataset, files, per_dataset), files, duration_s)
        case Arrivals.POISSON:
            ends = _dataset_ends(files, per_dataset, key)
            return lambda dataset: _poisson(
                len(_members(dataset, files, per_dataset)), ends[dataset], ends[dataset + 1], duration_s,
                stream_within(key, 2 * dataset + 1),
            )  # fmt: skip


def _members(dataset: int, files: int, per_dataset: int) -> range:
    return range(dataset * per_dataset, min(files, (dataset + 1) * per_dataset))


def _constant(members: range, files: int, duration_s: float) -> Iterator[float]:
    """Put each file in the middle of its own share of the duration.

    So the number due by any moment is never more than half a file from rate x time, and experiments of
    different counts do not all start with a burst in the first instant.
    """
    for index in members:
        yield (index + 0.5) * duration_s / files


def _dataset_ends(files: int, per_dataset: int, key: bytes) -> list[float]:
    """Return 0, then when the last file of each dataset is due, as a share of the duration.

    The gaps of a Poisson process are exponential, and so many of them last as long as one gamma draw. Of a
    process that is known to have ``files`` arrivals in the duration, the times are those of a process
    without end, over the time of its next arrival (Devroye, Non-Uniform Random Variate Generation, 1986,
    theorem V.2.2).
    """
    ends = [0.0]
    for first in range(0, files, per_dataset):
        dataset = first // per_dataset
        gaps = min(per_dataset, files - first)
        ends.append(ends[-1] + _gamma(gaps, stream_within(key, 2 * dataset)))
    next_one = ends[-1] + _gamma(1, stream_within(key, 2 * len(ends)))
    return [end / next_one for end in ends]


def _gamma(shape: int, key: bytes) -> float:
    """Return a draw of the gamma distribution of this shape, 1 or more, and scale 1.

    Marsaglia and Tsang, A Simple Method for Generating Gamma Variables, ACM TOMS 26, 2000.
    """
    third = shape - 1 / 3
    uniforms = draws(key)
    for normal in map(NORMAL.inv_cdf, uniforms):
        cubed = (1 + normal / math.sqrt(9 * third)) ** 3
        if cubed > 0 and math.log(next(uniforms)) < normal**2 / 2 + third * (1 - cubed + math.log(cubed)):
            return third * cubed
    raise AssertionError("a stream has no end")


def _poisson(count: int, start: float, end: float, duration_s: float, key: bytes) -> Iterator[float]:
    """Yield the due times of a dataset between the end of the one before and its own, its last file's.

    Given these two, the others are sorted uniform draws between them, made in order, each from the one
    before: with k still to come, what is left of the interval shrinks by U**(1/k) (Bentley and Saxe,
    Generating Sorted Lists of Random Numbers, ACM TOMS 6, 1980). The logarithm is kept, not the rest, so
    that the many short gaps of a long list keep their digits.
    """
    log, expm1 = math.log, math.expm1
    log_left = 0.0
    for to_come, uniform in zip(range(count - 1, 0, -1), draws(key), strict=False):
        log_left += log(uniform) / to_come
        yield (start - expm1(log_left) * (end - start)) * duration_s
    yield end * duration_s
