"""The wish that a run end early and orderly, and why."""

from __future__ import annotations

import asyncio


class Stop:
    """Unwanted until somebody wants it; the first reason counts.

    ``kind`` is the kind of note that the journal gets: ``interrupted`` or ``limit``. ``cancels`` says
    whether what the run's rules have not done yet is to be cancelled; it may come to be wanted later.
    """

    def __init__(self) -> None:
        """Begin unwanted."""
        self._wanted = asyncio.Event()
        self.kind = ""
        self.text = ""
        self.cancels = False

    def because(self, kind: str, text: str, *, cancel: bool = False) -> None:
        """Ask for an orderly end; ``cancel`` asks to cancel what Rucio has not done yet besides."""
        self.cancels = self.cancels or cancel
        if not self.wanted:
            self.kind, self.text = kind, text
            self._wanted.set()

    @property
    def wanted(self) -> bool:
        """Whether the run should end."""
        return self._wanted.is_set()

    async def wait(self) -> None:
        """Return once the run should end."""
        await self._wanted.wait()

    async def wait_for(self, seconds: float) -> None:
        """Sleep, or less when the run should end."""
        try:
            await asyncio.wait_for(self._wanted.wait(), seconds)
        except TimeoutError:
            return
