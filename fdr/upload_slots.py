"""How many uploads run and wait at once: counted for each RSE, so that one that hangs delays no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine
from inspect import CORO_CREATED, getcoroutinestate
from typing import Any, TypeVar

from asyncio_pool import AioPool

T = TypeVar("T")


class UploadSlots:
    """Room for uploads: ``at_once`` puts run at an RSE, and ``of_rse`` are begun there and not over.

    ``in_all`` bounds those begun and not ended, also the ones that are put and wait to be registered.
    """

    def __init__(self, at_once: int, of_rse: int, in_all: int) -> None:
        """Begin with all of the room."""
        self._at_once = at_once
        self._of_rse = of_rse
        self._in_all = in_all
        self._pools: dict[str, AioPool] = {}
        self._putting: Counter[str] = Counter()
        self._begun = 0

    def has_room(self, rse: str) -> bool:
        """Tell whether one more upload to an RSE may be begun."""
        return self._putting[rse] < self._of_rse and self._begun < self._in_all

    def take(self, rse: str) -> Slot:
        """Begin an upload to an RSE."""
        self._putting[rse] += 1
        self._begun += 1
        return Slot(self, rse)

    async def _run(self, rse: str, work: Coroutine[Any, Any, T]) -> T:
        if rse not in self._pools:
            self._pools[rse] = AioPool(size=self._at_once)
        try:
            result: T = await self._pools[rse].exec(work)
        finally:
            if getcoroutinestate(work) == CORO_CREATED:  # cancelled before its turn came
                work.close()
        return result

    def _leave(self, rse: str) -> None:
        self._putting[rse] -= 1

    def _end(self) -> None:
        self._begun -= 1


class Slot:
    """The room that one upload takes, first at its RSE, then while it is registered."""

    def __init__(self, slots: UploadSlots, rse: str) -> None:
        """Take what it is a part of."""
        self._slots = slots
        self._rse = rse
        self._is_at_rse = True

    async def put(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what a put returns, once it had its turn at the RSE; the room there is free then."""
        try:
            return await self._slots._run(self._rse, work)
        finally:
            self._leave_rse()

    def free(self) -> None:
        """End the upload; called once."""
        self._leave_rse()
        self._slots._end()

    def _leave_rse(self) -> None:
        if self._is_at_rse:
            self._is_at_rse = False
            self._slots._leave(self._rse)
