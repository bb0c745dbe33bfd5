"""When files are due: arrival processes over a duration. Pure."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING

from fdr.draw import draws
from fdr.model import Arrivals

if TYPE_CHECKING:
    from collections.abc import Iterator


def due_times(arrivals: Arrivals, count: int, duration_s: float, key: bytes) -> Iterator[float]:
    """Yield exactly ``count`` due times in seconds, in order, from 0 to ``duration_s``.

    ``key`` is the stream that a random process draws from, one draw per file.
    """
    match arrivals:
        case Arrivals.CONSTANT:
            return _constant(count, duration_s)
        case Arrivals.POISSON:
            return _poisson(count, duration_s, key)


def _constant(count: int, duration_s: float) -> Iterator[float]:
    """Put each file in the middle of its own share of the duration.

    So the number due by any moment is never more than half a file from rate x time, and experiments of
    different counts do not all start with a burst in the first instant.
    """
    for index in range(count):
        yield (index + 0.5) * duration_s / count


def _poisson(count: int, duration_s: float, key: bytes) -> Iterator[float]:
    """Yield the arrivals of a Poisson process of which it is known that ``count`` fall into the duration.

    Given their number, the arrivals are sorted uniform draws; these are made in order, each from the one
    before: with k still to come, what is left of the duration shrinks by U**(1/k) (Bentley and Saxe,
    Generating Sorted Lists of Random Numbers, ACM TOMS 6, 1980). The logarithm is kept, not the rest, so
    that the many short gaps of a long list keep their digits.
    """
    log, expm1 = math.log, math.expm1
    log_left = 0.0
    to_come = count
    for uniform in islice(draws(key), count):
        log_left += log(uniform) / to_come
        to_come -= 1
        yield -expm1(log_left) * duration_s
