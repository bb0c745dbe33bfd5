"""What happened in the last seconds, counted in slots of time that are forgotten one by one. Pure."""

from __future__ import annotations

import math
from collections import Counter

SLOTS = 60
SHORTEST_S = 0.001  # shorter seconds are counted as this
STEP = 1.02  # a bin of seconds ends so many times where it begins
BINS = math.ceil(math.log(1e10) / math.log(STEP))  # to 1e7 s, 115 days; longer seconds are counted as that


class Window:
    """Counts, by any number or word, of what happened in the last ``over_s`` seconds.

    Time is cut into SLOTS slots, and the oldest is forgotten whole: what is counted is the last ``over_s``
    seconds, or up to a SLOTS-th less. Holds SLOTS counters, however much happens.
    """

    def __init__(self, over_s: float) -> None:
        """Take the length in seconds, positive."""
        self._width_s = over_s / SLOTS
        self._slots: dict[int, Counter[int | str]] = {}

    def add(self, at: float, what: int | str) -> None:
        """Count one thing that happened at a time; the order of times does not matter."""
        slot = math.floor(at / self._width_s)
        if slot not in self._slots:
            self._forget(max([*self._slots, slot]))
        self._slots.setdefault(slot, Counter())[what] += 1

    def counts(self, now: float) -> Counter[int | str]:
        """Return the counts of the ``over_s`` seconds before ``now``."""
        self._forget(math.floor(now / self._width_s))
        total: Counter[int | str] = Counter()
        for counted in self._slots.values():
            total.update(counted)
        return total

    def _forget(self, latest: int) -> None:
        for slot in [slot for slot in self._slots if slot <= latest - SLOTS]:
            del self._slots[slot]


def bin_of(seconds: float) -> int:
    """Return the number of the bin that seconds are counted in, 0 to BINS."""
    if seconds <= SHORTEST_S:
        return 0
    return min(BINS, math.ceil(math.log(seconds / SHORTEST_S) / math.log(STEP)))


def quantile_of_bins(counts: Counter[int | str], quantile: float) -> float:
    """Return a quantile (0 to 1, nearest rank) of seconds counted in bins, at least one.

    It is told as where its bin begins: never more than was measured, and at most 2 % less.
    """
    bins = sorted(number for number in counts if isinstance(number, int))
    rank = max(1, math.ceil(round(quantile * counts.total(), 6)))
    seen = 0
    for number in bins:
        seen += counts[number]
        if seen >= rank:
            return SHORTEST_S * STEP ** (number - 1) if number else 0.0
    raise ValueError("there is nothing to take a quantile of")
