"""The grid of moments on which noise is made again and again. Pure."""

from __future__ import annotations

import math


def next_beat(first_at: float, every_s: float, last: int, now: float) -> int:
    """Return the number of the next beat after beat ``last`` that is not past; beats count from 0.

    Beat k is at ``first_at`` + k * ``every_s``, whatever became of those before it: nothing drifts, and those
    that are past when a pass ends are skipped.
    """
    return max(last + 1, math.ceil(round((now - first_at) / every_s, 6)))


def beat_at(first_at: float, every_s: float, beat: int) -> float:
    """Return when a beat is."""
    return first_at + beat * every_s
