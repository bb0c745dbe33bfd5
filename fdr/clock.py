"""Time, as the engine sees it: an interface, so that a day can pass in a test."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Unix seconds that only ever grow."""

    def now(self) -> float:
        """Return the time in Unix seconds."""

    async def sleep_until(self, at: float) -> None:
        """Return at a time, or at once when it has passed."""


class SteadyClock:
    """The machine's clock, read once: steps of the wall clock do not disturb a run."""

    def __init__(self, not_before: float = 0.0) -> None:
        """Set the clock by the wall clock, or to ``not_before`` (Unix seconds) if that is behind."""
        self._offset = max(time.time(), not_before) - time.monotonic()

    def now(self) -> float:
        """Return the time in Unix seconds."""
        return time.monotonic() + self._offset

    async def sleep_until(self, at: float) -> None:
        """Return at a time, or at once when it has passed."""
        delay_s = at - self.now()
        if delay_s > 0:
            await asyncio.sleep(delay_s)
