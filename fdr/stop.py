"""The wish that a run end early and orderly, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable


class Stop:
    """Unwanted until somebody wants it; the first reason counts.

    ``kind`` is the kind of note that the journal gets: ``interrupted`` or ``limit``. ``cancels`` says
    whether what the run's rules have not done yet is to be cancelled; it may come to be wanted later.
    """

    def __init__(self) -> None:
        """Begin unwanted."""
        self._wanted = asyncio.Event()
        self._waits: set[asyncio.Timeout] = set()  # those that the wish cuts short
        self.kind = ""
        self.text = ""
        self.cancels = False

    def because(self, kind: str, text: str, *, cancel: bool = False) -> None:
        """Ask for an orderly end; ``cancel`` asks to cancel what Rucio has not done yet besides."""
        self.cancels = self.cancels or cancel
        if not self.wanted:
            self.kind, self.text = kind, text
            self._wanted.set()
            for wait in self._waits:
                wait.reschedule(asyncio.get_running_loop().time())

    @property
    def wanted(self) -> bool:
        """Whether the run should end."""
        return self._wanted.is_set()

    async def wait(self) -> None:
        """Return once the run should end."""
        await self._wanted.wait()

    async def wait_for(self, seconds: float) -> None:
        """Sleep, or less when the run should end."""
        await self.cut_short(asyncio.sleep(seconds))

    async def cut_short(self, waiting: Awaitable[object]) -> None:
        """Wait for something, or less when the run should end; what is waited for is cancelled then.

        No task is made for it: the engine waits like this before every action.
        """
        try:
            async with asyncio.timeout(0 if self.wanted else None) as wait:
                self._waits.add(wait)
                await waiting
        except TimeoutError:
            if not wait.expired():
                raise
        finally:
            self._waits.discard(wait)
