"""A clock on which a day passes as fast as the work in it."""

from __future__ import annotations

import asyncio


class FakeClock:
    """Time moves only when somebody waits for it; everyone else gets a turn before it does.

    Of many that wait, the one that waits for the earliest time moves it.
    """

    def __init__(self, at: float = 1_000_000.0) -> None:
        """Take the time to begin at, in Unix seconds."""
        self._at = at
        self._waited_for: list[float] = []

    def now(self) -> float:
        return self._at

    async def sleep_until(self, at: float) -> None:
        self._waited_for.append(at)
        try:
            for _ in range(3):
                await asyncio.sleep(0)
            while at > min(self._waited_for):
                await asyncio.sleep(0)
            self._at = max(self._at, at)
        finally:
            self._waited_for.remove(at)
