"""Follow the jobs at an FTS, all of them with a few questions, until each is over."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from fdr.errors import LakeError
from fdr.probe.fts import ASKED_AT_ONCE, Fts
from fdr.probe.jobs import JobState

EVERY_S = 1.0


class Poll:
    """Asks an FTS again and again for the jobs that somebody waits for; it ends with its block."""

    def __init__(self, fts: Fts) -> None:
        """Take the FTS; it is asked within the block only."""
        self._fts = fts
        self._waiting: dict[str, asyncio.Future[JobState]] = {}
        self._wanted = asyncio.Event()
        self.seen: dict[str, JobState] = {}
        self.error = ""  # why the last question had no answer

    async def __aenter__(self) -> Poll:
        """Begin to ask."""
        self._task = asyncio.create_task(self._ask_again())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ask no more."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def over(self, job: str) -> JobState:
        """Return how a job stands once nothing more happens for it."""
        self._waiting[job] = asyncio.get_running_loop().create_future()
        self._wanted.set()
        try:
            return await self._waiting[job]
        finally:
            del self._waiting[job]

    async def _ask_again(self) -> None:
        while True:
            await self._wanted.wait()
            asked = sorted(self._waiting)
            for start in range(0, len(asked), ASKED_AT_ONCE):
                await self._ask(asked[start : start + ASKED_AT_ONCE])
            await asyncio.sleep(EVERY_S)
            if not self._waiting:
                self._wanted.clear()

    async def _ask(self, jobs: list[str]) -> None:
        try:
            states = await self._fts.states(jobs)
        except LakeError as error:
            self.error = str(error)
            return
        self.error = ""
        self.seen |= states
        for job, state in states.items():
            waiting = self._waiting.get(job)
            if waiting is not None and state.is_over and not waiting.done():
                waiting.set_result(state)
