"""Have FTS copy between every two RSEs, a job for each pair, and say what became of each."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass

from fdr.errors import LakeError, Refused, Unclear
from fdr.payload import Payload
from fdr.probe.asked import Asked
from fdr.probe.fts import Fts
from fdr.probe.jobs import UNKNOWN, Identity, JobState, sid_of, submission
from fdr.probe.login import Login
from fdr.probe.plan import Copy, Plan
from fdr.probe.poll import Poll
from fdr.probe.result import INTERRUPTED, Copied, State
from fdr.probe.sweep import cancel_all, without_url
from fdr.probe.traces import STILL_COPIED, STILL_PUT, Ledger
from fdr.stop import Stop
from fdr.storage.steps import GfalSteps
from fdr.units import format_duration


@dataclass(frozen=True, slots=True)
class Means:
    """What copies are made with."""

    plan: Plan
    asked: Asked
    storage: GfalSteps
    ledger: Ledger
    stop: Stop
    login: Login

    def payload(self, rse: str) -> Payload:
        """Return the file that is copied from an RSE."""
        return Payload(f"{self.plan.probe} source {rse}", self.asked.size_bytes)


async def copy_all(means: Means) -> tuple[Copied, ...]:
    """Return what became of every copy of the plan, in its order."""
    of_fts: dict[str, list[Copy]] = defaultdict(list)
    found: dict[Copy, Copied] = {}
    for copy in means.plan.copies:
        if copy.skipped:
            found[copy] = Copied(copy, State.SKIPPED, message=copy.skipped)
        else:
            of_fts[copy.fts].append(copy)
    sources = {rse: asyncio.create_task(_put_source(means, rse)) for rse, _ in means.plan.sources}
    for copied in await asyncio.gather(
        *(_at_one(means, url, copies, sources) for url, copies in of_fts.items())
    ):
        found |= {one.copy: one for one in copied}
    await asyncio.gather(*sources.values())
    return tuple(found[copy] for copy in means.plan.copies)


async def _put_source(means: Means, rse: str) -> LakeError | None:
    """Put the file that is copied from an RSE, and return why that failed."""
    place = dict(means.plan.sources)[rse]
    if means.stop.wanted:
        means.ledger.never_made(place)
        return Refused("interrupted", INTERRUPTED)
    try:
        await means.storage.put_only(means.payload(rse), place.url)
    except Refused as error:
        means.ledger.refused(place, error.reason)
        return error
    except LakeError as error:
        if error.reason == "timeout":
            means.ledger.unsettled[place.url] = STILL_PUT
        return error
    return None


async def _at_one(
    means: Means, url: str, copies: list[Copy], sources: dict[str, asyncio.Task[LakeError | None]]
) -> list[Copied]:
    """Have one FTS copy."""
    fts = Fts(url, means.login, means.asked.timeout_s)
    try:
        try:
            identity = await fts.who()
        except LakeError as error:
            for copy in copies:
                _never_copied(means, copy)
            return [
                Copied(copy, State.FAILED, None, f"fts-{error.reason}", f"FTS: {error}") for copy in copies
            ]
        # Where the ids can be told before, they are on the disk before there is a job.
        means.ledger.expect_jobs(url, (identity.job_id(sid_of(means.plan.probe, copy)) for copy in copies))
        async with Poll(fts) as poll:
            each = (_Deed(means, fts, poll, identity, copy).carry_out(sources[copy.src]) for copy in copies)
            return list(await asyncio.gather(*each))
    finally:
        fts.close()


def _never_copied(means: Means, copy: Copy) -> None:
    if copy.there is not None:
        means.ledger.never_made(copy.there)


@dataclass(frozen=True, slots=True)
class _Deed:
    """One copy by an FTS that takes us for somebody."""

    means: Means
    fts: Fts
    poll: Poll
    identity: Identity
    copy: Copy

    @property
    def _expected(self) -> str:
        return self.identity.job_id(sid_of(self.means.plan.probe, self.copy))

    async def carry_out(self, source: asyncio.Task[LakeError | None]) -> Copied:
        """Submit the job when its source is there, follow it, and return what became of it."""
        unput = await source
        if unput is not None or self.means.stop.wanted:
            self._not_submitted()
            if self.means.stop.wanted:
                return Copied(self.copy, State.SKIPPED, message=INTERRUPTED)
            place = dict(self.means.plan.sources)[self.copy.src]
            told = f"{unput.reason}: {without_url(unput, place.url)}" if unput is not None else ""
            return self._failed("source", f"the file to copy was not put: {told}")
        begun = time.monotonic()
        try:
            job = await self.fts.submit(self._body())
        except Refused as error:
            self._not_submitted()
            return self._failed(f"fts-{error.reason}", f"FTS: {error}")
        except Unclear as error:  # whether there is a job can only be asked where its id is known
            job = self._expected
            if not job:
                self.means.ledger.unsettled[self._there] = STILL_COPIED
                return self._failed(f"fts-{error.reason}", f"FTS: {error}")
        self.means.ledger.expect_jobs(self.fts.url, [job])
        if job != self._expected:
            self.means.ledger.settle_job(self._expected)
        return await self._follow(job, begun)

    async def _follow(self, job: str, begun: float) -> Copied:
        waiting = asyncio.ensure_future(self.poll.over(job))
        within_s = self.means.asked.transfer_timeout_s
        try:
            async with asyncio.timeout(within_s):
                await self.means.stop.cut_short(asyncio.shield(waiting))
        except TimeoutError:
            pass
        if waiting.done():
            self.means.ledger.settle_job(job)
            return self._ended(job, waiting.result(), time.monotonic() - begun)
        was = self.poll.seen.get(job, JobState("SUBMITTED")).state
        silent = self.poll.error
        waiting.cancel()
        if job in await cancel_all(self.fts, [job]):
            self.means.ledger.settle_job(job)
        else:
            self.means.ledger.unsettled[self._there] = STILL_COPIED
        if self.means.stop.wanted:
            return Copied(self.copy, State.SKIPPED, message="interrupted while it was under way", job=job)
        told = f"no end within {format_duration(within_s)}: cancelled when it was {was}"
        return self._failed("timeout", f"{told}; FTS did not answer: {silent}" if silent else told, job)

    def _ended(self, job: str, state: JobState, duration_s: float) -> Copied:
        if state.state == "FINISHED":
            return Copied(
                self.copy, State.OK, duration_s, job=job, started=state.started, finished=state.finished
            )
        if state.state == UNKNOWN:
            return self._failed("fts-lost", "FTS knows nothing of the job that was submitted", job)
        told = state.reason or state.state
        return Copied(
            self.copy, State.FAILED, duration_s, _word(told), told, job, state.started, state.finished
        )

    def _body(self) -> dict[str, object]:
        means, payload = self.means, self.means.payload(self.copy.src)
        return submission(
            means.plan.probe,
            self.copy,
            payload.size_bytes,
            payload.adler32(),
            means.asked.transfer_timeout_s,
            means.login.storage_token,
            derives_ids=bool(self._expected),
        )

    @property
    def _there(self) -> str:
        assert self.copy.there is not None
        return self.copy.there.url

    def _not_submitted(self) -> None:
        self.means.ledger.settle_job(self._expected)
        _never_copied(self.means, self.copy)

    def _failed(self, reason: str, message: str, job: str = "") -> Copied:
        return Copied(self.copy, State.FAILED, None, reason, message, job)


def _word(reason: str) -> str:
    """Return the scope that FTS names first in its reason: source, destination or transfer."""
    first = reason.partition(" ")[0].lower()
    return first if first in {"source", "destination", "transfer"} else "failed"
