"""Sample, beside a run, what the lake's services, its RSEs and fdr itself use."""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from fdr.catalog import Catalog
from fdr.clock import Clock
from fdr.errors import FdrError, LakeError
from fdr.journal.writer import Journal, JournalFailed
from fdr.model import GeneratorUsage, Note, RseUsage, ServiceSample

SERVICES_EVERY_S = 5.0
USAGE_EVERY_S = 15.0
SAMPLE_WITHIN_S = 30.0
MAX_TOLD = 10  # defects that get a note


class Sampler:
    """Writes samples into the journal until it is cancelled, and once more at the end.

    ``services`` returns the present use of the embedded lake's services; None when the lake is another's.
    A sample that cannot be taken in time is left out. A run does not end for a defect in here: the journal
    gets a note, once for each, and the log says where it was.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        catalog: Catalog,
        account: str,
        rses: Sequence[str],
        services: Callable[[float], list[ServiceSample]] | None,
        used_before: GeneratorUsage | None = None,
    ) -> None:
        """Take what to write to, what to ask, and as whom; and what earlier sessions of the run had used."""
        self._journal = journal
        self._clock = clock
        self._catalog = catalog
        self._account = account
        self._rses = rses
        self._services = services
        self._used_before = used_before or GeneratorUsage(0.0, 0.0, 0, 0)
        self._told: set[str] = set()

    async def run(self) -> None:
        """Sample at intervals for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._every(SERVICES_EVERY_S, self._sample_services))
            group.create_task(self._every(USAGE_EVERY_S, self._sample_usage))

    async def finish(self) -> None:
        """Take the last samples."""
        await self._take(self._sample_services)
        await self._take(self._sample_usage)

    async def _every(self, seconds: float, sample: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._take(sample)
            await asyncio.sleep(seconds)

    async def _take(self, sample: Callable[[], Awaitable[None]]) -> None:
        (result,) = await asyncio.gather(_in_time(sample), return_exceptions=True)
        if not isinstance(result, Exception) or isinstance(result, (TimeoutError, JournalFailed)):
            return
        defect = f"{sample.__name__.removeprefix('_sample_')}: {type(result).__name__}: {result}"
        if defect not in self._told and len(self._told) < MAX_TOLD:
            self._told.add(defect)
            logging.getLogger("fdr").error("a sample could not be taken", exc_info=result)
            self._journal.record(Note(self._clock.now(), "samples-lost", defect))

    async def _sample_services(self) -> None:
        self._journal.record(self._own_usage())
        if self._services is None:
            return
        try:
            samples = await asyncio.to_thread(self._services, self._clock.now())
        except FdrError:
            return
        self._journal.record(*samples)

    def _own_usage(self) -> GeneratorUsage:
        """Return what fdr has used since the run began, in all its sessions."""
        now, before = own_usage(self._clock.now(), self._catalog.requests), self._used_before
        return GeneratorUsage(
            now.at,
            now.cpu_seconds + before.cpu_seconds,
            max(now.memory_peak_bytes, before.memory_peak_bytes),
            now.requests + before.requests,
        )

    async def _sample_usage(self) -> None:
        for rse in self._rses:
            try:
                usage = await self._catalog.usage(self._account, rse)
            except LakeError:
                continue
            if usage is not None:
                self._journal.record(RseUsage(self._clock.now(), rse, usage.used_bytes, usage.files))


async def _in_time(sample: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(SAMPLE_WITHIN_S):
        await sample()


def own_usage(at: float, requests: int) -> GeneratorUsage:
    """Return what this process has used until now: CPU of all its threads, and its peak memory.

    The peak is VmHWM of proc(5); getrusage's begins with what the process that started this one had.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak_kb = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    return GeneratorUsage(at, used.ru_utime + used.ru_stime, peak_kb * 1024, requests)
