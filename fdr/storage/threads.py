"""Threads for calls that block, a few for each storage."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
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
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._under_way: set[Future[Any]] = set()

    async def call(self, storage: str, within_s: float, deed: Callable[[], T]) -> T:
        """Return what a deed returns, or raise what it raises.

        Raises Refused with reason ``busy`` when no thread was free in time, and Unclear with ``timeout``
        when the deed did not end in time: it goes on, and keeps its thread.
        """
        if storage not in self._pools:
            self._pools[storage] = ThreadPoolExecutor(self._threads, thread_name_prefix=storage)
        future: Future[T] = self._pools[storage].submit(deed)
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), within_s)
        except TimeoutError as error:
            if future.cancel():
                message = f"{storage}: no thread was free in {within_s:g} s: the storage is slow, or hangs"
                raise Refused("busy", message) from error
            raise Unclear("timeout", f"{storage}: no answer in {within_s:g} s") from error

    async def close(self) -> None:
        """Drop what has not begun, wait a few seconds for what has, then abandon it."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        under_way = [asyncio.wrap_future(future) for future in self._under_way]
        if under_way:
            await asyncio.wait(under_way, timeout=CLOSE_WITHIN_S)
