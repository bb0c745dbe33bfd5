"""Gather uploaded files and register them in groups."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from fdr.catalog import MAX_FILES_PER_CALL, Catalog, NewReplica
from fdr.errors import LakeError, Refused

GATHER_S = 0.1  # how long the first file of a group waits for others


@dataclass(slots=True)
class _Waiting:
    replica: NewReplica
    done: asyncio.Future[None]


class Registrar:
    """Registers the files of one account, one call at a time.

    While a call is under way the files that arrive wait for the next, so that groups grow with the load, up
    to MAX_FILES_PER_CALL. A group that Rucio refuses is halved until the file at fault stands alone.
    The engine's in-flight bound is the bound of the queue.
    """

    def __init__(self, catalog: Catalog, account: str) -> None:
        """Take the catalogue and the account to register as; nothing runs before the first file."""
        self._catalog = catalog
        self._account = account
        self._queue: deque[_Waiting] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def register(self, replica: NewReplica) -> None:
        """Return once the file is registered and attached; raise Refused or Unclear as Rucio did."""
        waiting = _Waiting(replica, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work(), name=f"register-{self._account}")
        await waiting.done

    async def _work(self) -> None:
        await asyncio.sleep(GATHER_S)
        while self._queue:
            group = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_FILES_PER_CALL))]
            await self._register_group(group)

    async def _register_group(self, group: list[_Waiting]) -> None:
        try:
            await self._catalog.register(self._account, [waiting.replica for waiting in group])
        except Refused as error:
            if len(group) == 1 or error.reason in {"connection", "unauthenticated"}:
                _fail(group, error)
                return
            half = len(group) // 2
            await self._register_group(group[:half])
            await self._register_group(group[half:])
        except LakeError as error:
            _fail(group, error)
        else:
            for waiting in group:
                if not waiting.done.done():
                    waiting.done.set_result(None)


def _fail(group: list[_Waiting], error: LakeError) -> None:
    for waiting in group:
        if not waiting.done.done():
            waiting.done.set_exception(type(error)(error.reason, str(error)))
