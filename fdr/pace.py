"""Keep calls apart in time, so that a budget of requests per second is held."""

from __future__ import annotations

import asyncio


class Spacing:
    """Let through at most ``per_second`` callers a second, evenly; None lets everyone through."""

    def __init__(self, per_second: float | None) -> None:
        """Take the highest rate in calls per second, positive."""
        self._gap_s = 1.0 / per_second if per_second else 0.0
        self._free_at = 0.0

    async def turn(self) -> None:
        """Wait for one's turn."""
        if not self._gap_s:
            return
        now = asyncio.get_running_loop().time()
        mine = max(now, self._free_at)
        self._free_at = mine + self._gap_s
        if mine > now:
            await asyncio.sleep(mine - now)
