"""How large files are: draw from a distribution of sizes, its mean, and the same scaled. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import accumulate
from statistics import NormalDist
from typing import TYPE_CHECKING

from fdr.model import BucketSize, FixedSize, LognormalSize, Size, UniformSize

if TYPE_CHECKING:
    from collections.abc import Callable

NORMAL = NormalDist()


def sampler(size: Size) -> Callable[[float], int]:
    """Return the function that turns a uniform draw (above 0, below 1) into a file's bytes, 1 at least.

    Larger draws give files at least as large: the distribution's quantile function.
    """
    match size:
        case FixedSize(size_bytes):
            return lambda _: size_bytes
        case UniformSize(minimum, maximum):
            return lambda uniform: minimum + int(uniform * (maximum - minimum + 1))
        case LognormalSize():
            return _lognormal(size)
        case BucketSize():
            return _buckets(size)


def mean_bytes(size: Size) -> float:
    """Return the expected bytes of one file, clipping included."""
    match size:
        case FixedSize(size_bytes):
            return size_bytes
        case UniformSize(minimum, maximum):
            return (minimum + maximum) / 2
        case LognormalSize():
            return _lognormal_mean(size)
        case BucketSize(sizes, weights):
            return sum(b * w for b, w in zip(sizes, weights, strict=True)) / sum(weights)


def largest_bytes(size: Size) -> int | None:
    """Return the bytes that no file exceeds, None where the distribution has no end."""
    match size:
        case FixedSize(size_bytes):
            return size_bytes
        case UniformSize() | LognormalSize():
            return size.maximum
        case BucketSize(sizes):
            return max(sizes)


def scaled(size: Size, factor: float) -> Size:
    """Return the same distribution with every size multiplied, 1 byte at least."""
    match size:
        case FixedSize(size_bytes):
            return FixedSize(_times(size_bytes, factor))
        case UniformSize(minimum, maximum):
            return UniformSize(_times(minimum, factor), _times(maximum, factor))
        case LognormalSize(median, sigma, minimum, maximum):
            highest = None if maximum is None else _times(maximum, factor)
            return LognormalSize(_times(median, factor), sigma, _times(minimum, factor), highest)
        case BucketSize(sizes, weights):
            return BucketSize(tuple(_times(size_bytes, factor) for size_bytes in sizes), weights)


def _times(size_bytes: int, factor: float) -> int:
    return size_bytes if factor == 1 else max(1, round(size_bytes * factor))


def _lognormal(size: LognormalSize) -> Callable[[float], int]:
    log_median, sigma = math.log(size.median), size.sigma
    lowest, highest = size.minimum, size.maximum or 2**63 - 1
    # Clip the logarithm too: exp() of an absurd sigma would overflow.
    log_highest = math.log(highest)
    quantile, exp = NORMAL.inv_cdf, math.exp

    def draw_bytes(uniform: float) -> int:
        log_bytes = log_median + sigma * quantile(uniform)
        if log_bytes >= log_highest:
            return highest
        return max(lowest, min(highest, round(exp(log_bytes))))

    return draw_bytes


def _buckets(size: BucketSize) -> Callable[[float], int]:
    sizes = size.bytes
    edges = list(accumulate(size.weights))
    total, last = edges[-1], len(sizes) - 1
    return lambda uniform: sizes[min(last, bisect_right(edges, uniform * total))]


def _lognormal_mean(size: LognormalSize) -> float:
    """Return the mean of a lognormal clipped to [a, b]: a P(X<a) + E[X; a<X<b] + b P(X>b).

    E[X; a<X<b] = exp(mu + sigma^2/2) (Phi((ln b - mu)/sigma - sigma) - Phi((ln a - mu)/sigma - sigma)).
    """
    mu, sigma = math.log(size.median), size.sigma
    low = (math.log(size.minimum) - mu) / sigma
    high = math.inf if size.maximum is None else (math.log(size.maximum) - mu) / sigma
    within = math.exp(mu + sigma**2 / 2) * (NORMAL.cdf(high - sigma) - NORMAL.cdf(low - sigma))
    above = 0.0 if size.maximum is None else size.maximum * (1 - NORMAL.cdf(high))
    return size.minimum * NORMAL.cdf(low) + within + above
