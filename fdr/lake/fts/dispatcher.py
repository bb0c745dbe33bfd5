"""Take files from the queue while there is room, have them copied, and keep what becomes of them."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from fdr.lake.fts import transitions
from fdr.lake.fts.config import Config
from fdr.lake.fts.crew import DIED, TIMED_OUT, Crew
from fdr.lake.fts.faults import Fault, Faults, fault_reason
from fdr.lake.fts.job import Ending, FileState, Job, Link
from fdr.lake.fts.order import Order
from fdr.lake.fts.slots import Slots
from fdr.lake.fts.store import Store

LOG = logging.getLogger(__name__)
HOST = "localhost"
PRUNE_EVERY_S = 60.0
STAGING_BEGINS_S = 1.0
STAGING_TAKES_S = 1.0
NO_TAPE = "STAGING [42] Failed to parse JSON object in the server response."


def utc_now(later_s: float = 0.0) -> str:
    """Return the time as FTS3 writes it."""
    return (datetime.now(UTC) + timedelta(seconds=later_s)).strftime("%Y-%m-%dT%H:%M:%S")


class Dispatcher:
    """The only one who changes jobs. Not for several threads."""

    def __init__(self, config: Config, store: Store, crew: Crew, faults: Faults) -> None:
        """Take its parts."""
        self.slots = Slots(
            config.workers, config.link_active, config.storage_active, config.web_storage_active
        )
        self.copied: Counter[str] = Counter()
        self.failed = 0
        self.canceled = 0
        self._config = config
        self._store = store
        self._crew = crew
        self._faults = faults
        self._copies: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._work = asyncio.Event()
        self._group: asyncio.TaskGroup
        self.is_ready = asyncio.Event()

    async def run(self) -> None:
        """Recover what was cut off by the last end of the service, then hand out files until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for job_id in self._store.open_jobs():
                self._stage(self._change(job_id, lambda job: transitions.recovered(job, utc_now(), DIED)))
            self._work.set()
            self.is_ready.set()
            group.create_task(self._prune())
            while True:
                await self._work.wait()
                self._work.clear()
                while (head := self._next()) is not None:
                    self._hand_out(*head)

    def submit(self, job: Job) -> None:
        """Keep a new job and begin with it. Raises Duplicate."""
        job = self._store.add(job)
        self._stage(job)
        self._work.set()

    def cancel(self, job: Job) -> Job:
        """Cancel a job that has not ended; copies that run are told to stop."""
        job = self._change(job.job_id, lambda job: transitions.canceled(job, utc_now()))
        for at in range(len(job.files)):
            if (copy := self._copies.get((job.job_id, at))) is not None:
                copy.cancel()
        return job

    def prioritise(self, job: Job, priority: int) -> Job:
        """Give a job that has not ended another priority."""
        return self._change(job.job_id, lambda job: transitions.prioritised(job, priority))

    def limit(self, link: Link, most: int) -> None:
        """Let so many transfers be active on a link at once."""
        self.slots.limits[link] = most
        self._work.set()

    def stats(self) -> dict[str, Any]:
        """Return counts since the start (by the way taken), what is active and what waits."""
        return {
            "copy_mode": self._config.copy_mode,
            "copied": dict(self.copied),
            "failed": self.failed,
            "canceled": self.canceled,
            "active": _by_name(self.slots.active),
            "waiting": _by_name(self._store.waiting()),
        }

    def _next(self) -> tuple[Link, str] | None:
        """Return the link and the job of the file to start now: the highest priority, then first come."""
        if self.slots.is_full:
            return None
        heads = (
            (head, link)
            for link in self._store.waiting()
            if self.slots.has_room(link) and (head := self._store.head(link)) is not None
        )
        best = max(heads, default=None)
        return None if best is None else (best[1], best[0].job_id)

    def _hand_out(self, link: Link, job_id: str) -> None:
        job = self._known(job_id)
        at = next(
            at
            for at, file in enumerate(job.files)
            if file.file_state is FileState.SUBMITTED and (file.source_se, file.dest_se) == link
        )
        self._change(job_id, lambda job: transitions.handed_out(job, at))
        self.slots.take(link)
        self._copies[job_id, at] = self._group.create_task(self._copy(link, job_id, at))

    async def _copy(self, link: Link, job_id: str, at: int) -> None:
        ending = Ending(transitions.CANCELED_BY_USER)
        try:
            ending = await self._attempt(link, job_id, at)
        except asyncio.CancelledError:
            if not self._is_canceled(job_id, at):
                raise  # the service ends: the next start goes on with this file
        finally:
            del self._copies[job_id, at]
            self.slots.give_back(link)
            self._work.set()
        job = self._change(job_id, lambda job: transitions.ended(job, at, ending, utc_now()))
        self._count(job, at, ending)

    async def _attempt(self, link: Link, job_id: str, at: int) -> Ending:
        """Make one attempt at a file, with the faults that its link was told to have."""
        fault = self._faults.draw(link)
        job = self._known(job_id)
        if job.files[at].retry:
            await asyncio.sleep(job.retry_delay)
        if fault.fail or fault.hang or fault.delay_s:
            self._started(job_id, at, os.getpid())
        if fault.fail or fault.hang:
            return await self._pretend(fault)
        await asyncio.sleep(fault.delay_s)
        order = Order(
            source=job.files[at].source_surl,
            destination=job.files[at].dest_surl,
            overwrite=transitions.may_overwrite(job, at),
            checksum=job.files[at].checksum,
            verify=job.verify_checksum,
            streamed=self._config.copy_mode == "streamed",
            timeout_s=self._config.transfer_timeout_s,
        )
        begun = asyncio.get_running_loop().time()
        ending = await self._crew.copy(
            order,
            started=lambda pid: self._started(job_id, at, pid),
            prepared=lambda size, timeout_s: self._prepared(job_id, at, size, timeout_s),
        )
        if fault.rate and not ending.reason:
            due = begun + ending.filesize / fault.rate
            await asyncio.sleep(due - asyncio.get_running_loop().time())
        return ending

    async def _pretend(self, fault: Fault) -> Ending:
        await asyncio.sleep(self._config.transfer_timeout_s if fault.hang else fault.delay_s)
        reason = fault_reason(fault.fail) if fault.fail else f"TRANSFER {TIMED_OUT}"
        return Ending(reason, recoverable=True)

    def _started(self, job_id: str, at: int, pid: int) -> None:
        if self._known(job_id).files[at].file_state is FileState.READY:
            self._change(job_id, lambda job: transitions.started(job, at, utc_now(), pid, HOST))

    def _prepared(self, job_id: str, at: int, size: int, timeout_s: int) -> None:
        self._change(job_id, lambda job: transitions.prepared(job, at, size, timeout_s))

    def _count(self, job: Job, at: int, ending: Ending) -> None:
        match job.files[at].file_state:
            case FileState.FINISHED:
                self.copied[ending.transfer_type or "unknown"] += 1
            case FileState.FAILED:
                self.failed += 1
                LOG.warning("%s: %s: %s", job.job_id, job.files[at].dest_surl, ending.reason)
            case FileState.CANCELED:
                self.canceled += 1
        self._stage(job)

    def _stage(self, job: Job) -> None:
        """Have every file that waits for it staged."""
        for at, file in enumerate(job.files):
            if file.file_state is FileState.STAGING and (job.job_id, at) not in self._copies:
                self._copies[job.job_id, at] = self._group.create_task(self._bring_online(job.job_id, at))
        self._work.set()

    async def _bring_online(self, job_id: str, at: int) -> None:
        """Fail as FTS3 does on a disk: no storage of the embedded lake has tape."""
        try:
            await asyncio.sleep(STAGING_BEGINS_S)
            self._change(job_id, lambda job: transitions.staging_began(job, at, utc_now(), HOST))
            await asyncio.sleep(STAGING_TAKES_S)
        except asyncio.CancelledError:
            if not self._is_canceled(job_id, at):
                raise
            return
        finally:
            del self._copies[job_id, at]
        job = self._change(job_id, lambda job: transitions.staging_failed(job, at, NO_TAPE, utc_now()))
        self._stage(job)

    async def _prune(self) -> None:
        while True:
            self._store.prune(utc_now(-self._config.keep_s), self._config.keep_jobs)
            await asyncio.sleep(PRUNE_EVERY_S)

    def _known(self, job_id: str) -> Job:
        job = self._store.get(job_id)
        assert job is not None  # jobs with unfinished files are never pruned
        return job

    def _is_canceled(self, job_id: str, at: int) -> bool:
        return self._known(job_id).files[at].file_state is FileState.CANCELED

    def _change(self, job_id: str, change: Callable[[Job], Job]) -> Job:
        old = self._known(job_id)
        new = change(old)
        if new is not old:
            self._store.save(old, new)
        return new


def _by_name(counts: Mapping[Link, int]) -> dict[str, int]:
    return {f"{link.source_se} {link.dest_se}": count for link, count in counts.items()}
