"""Threads for calls that block, a few for each storage."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from fdr.errors import Refused, Unclear

if TYPE_CHECKING:
    from collections.abc import Callable

CLOSE_WITHIN_S = 5.0

T = TypeVar("T")


class StorageThreads:
    """Runs deeds, at most ``threads`` at a time for each storage, so that one that hangs delays no other.

    Deeds that find no thread wait, within their time; how many do is bounded by who calls.
    """

    def __init__(self, threads: int) -> None:
        """Prepare; threads start when they are needed."""
        self._threads = threads
        self._crews: dict[str, _Crew] = {}
        self._under_way: set[Future[Any]] = set()

    async def call(self, storage: str, within_s: float, deed: Callable[[], T]) -> T:
        """Return what a deed returns, or raise what it raises.

        Raises Refused with reason ``busy`` when no thread was free in time, and Unclear with ``timeout``
        when the deed did not end in time: it goes on, and keeps its thread.
        """
        if storage not in self._crews:
            self._crews[storage] = _Crew(storage, self._threads)
        future: Future[T] = Future()
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)
        self._crews[storage].take(future, deed)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), within_s)
        except TimeoutError as error:
            if future.cancel():
                message = f"{storage}: no thread was free in {within_s:.3g} s: the storage is slow, or hangs"
                raise Refused("busy", message) from error
            raise Unclear("timeout", f"{storage}: no answer in {within_s:.3g} s") from error

    async def close(self) -> None:
        """Drop what has not begun, wait a few seconds for what has, then abandon it."""
        under_way = {future for future in self._under_way if not future.cancel()}
        await asyncio.to_thread(wait, under_way, CLOSE_WITHIN_S)
        for crew in self._crews.values():
            crew.dismiss()


class _Crew:
    """The threads of one storage; a new one starts when none is free.

    They are daemons, unlike those of the standard library's executor: the end of the process does not wait
    for a storage that hangs.
    """

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._started = 0
        self._free = threading.Semaphore(0)
        self._waiting: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()

    def take(self, future: Future[T], deed: Callable[[], T]) -> None:
        """Carry out a deed when a thread is free, unless its future is cancelled first."""
        self._waiting.put((future, deed))
        if not self._free.acquire(blocking=False) and self._started < self._most:
            self._started += 1
            threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def dismiss(self) -> None:
        """Let every thread end after what it does now."""
        for _ in range(self._started):
            self._waiting.put(None)

    def _work(self) -> None:
        while (order := self._waiting.get()) is not None:
            future, deed = order
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(deed())
                except BaseException as error:  # handed on to who awaits it
                    future.set_exception(error)
            self._free.release()
