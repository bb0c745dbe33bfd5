"""Copies by FTS: what becomes of a pair when FTS, or a source, does not do its part, and what is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fdr.errors import LakeError, Refused, Unclear
from fdr.payload import Payload
from fdr.probe import poll, sweep, transfers
from fdr.probe.asked import Asked, Part
from fdr.probe.earlier import clean_earlier
from fdr.probe.jobs import UNKNOWN, Identity, JobState
from fdr.probe.login import Login
from fdr.probe.plan import plan_probe
from fdr.probe.record import Traces, record_of
from fdr.probe.result import Copied, State
from fdr.probe.traces import Ledger
from fdr.probe.transfers import Means, copy_all
from fdr.stop import Stop
from tests.test_probe_plan import ID, A, B

BASE = "01874efb-4735-4595-bc9c-591aef8240c9"
FINISHED = JobState("FINISHED", started="2026-11-27T21:00:00", finished="2026-11-27T21:00:03")
COPYING = JobState("ACTIVE", started="2026-11-27T21:00:00")
HALF_CANCELLED = JobState("CANCELED", started="2026-11-27T21:00:00")
CANCELLED = JobState("CANCELED", started="2026-11-27T21:00:00", finished="2026-11-27T21:00:03")


@dataclass
class FakeFts:
    """An FTS in memory, whose jobs stand as they are told to; it keeps the promises of Fts."""

    becomes: JobState = FINISHED
    after_cancel: JobState = CANCELLED
    base: str = BASE
    who_fails: LakeError | None = None
    submit_fails: LakeError | None = None
    takes_it_all_the_same: bool = False
    silent: bool = False
    jobs: dict[str, JobState] = field(default_factory=dict)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    on_submit: Callable[[], None] = lambda: None
    url: str = "https://fts.example.org:8446"

    async def who(self) -> Identity:
        if self.who_fails is not None:
            raise self.who_fails
        return Identity(self.base, "lab", "")

    async def submit(self, body: dict[str, Any]) -> str:
        self.on_submit()
        self.bodies.append(body)
        job = (
            Identity(self.base, "lab", "").job_id(body["params"].get("sid", "")) or f"job-{len(self.bodies)}"
        )
        if self.submit_fails is None or self.takes_it_all_the_same:
            self.jobs[job] = self.becomes
        if self.submit_fails is not None:
            raise self.submit_fails
        return job

    async def states(self, jobs: Sequence[str]) -> dict[str, JobState]:
        if self.silent:
            raise Unclear("timeout", "FTS is silent")
        return {job: self.jobs.get(job, JobState(UNKNOWN)) for job in jobs}

    async def cancel(self, job: str) -> None:
        self.cancelled.append(job)
        if self.silent:
            raise Unclear("timeout", "FTS is silent")
        self.jobs[job] = self.after_cancel

    def close(self) -> None:
        """Nothing is held."""


class Store:
    """Storages that take every file, or refuse those of an RSE."""

    def __init__(self, refusing: str = "") -> None:
        self.refusing = refusing
        self.deleted: list[str] = []

    async def put_only(self, payload: Payload, url: str) -> None:
        if self.refusing and self.refusing in url:
            raise Refused("connection-refused", f"{url}: nobody there")

    async def delete(self, urls: Sequence[str]) -> dict[str, LakeError]:
        self.deleted += urls
        return {}

    async def remove_directory(self, url: str) -> None:
        self.deleted.append(url)


@dataclass
class Attempt:
    """What became of the copies between two RSEs, and what is left of it."""

    copies: dict[str, Copied]
    ledger: Ledger
    store: Store

    @property
    def states(self) -> list[State]:
        return [copied.state for copied in self.copies.values()]

    @property
    def reasons(self) -> list[str]:
        return [copied.reason for copied in self.copies.values()]


@pytest.fixture
def attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return what copies between A and B by an FTS."""
    monkeypatch.setattr(poll, "EVERY_S", 0.01)
    monkeypatch.setattr(sweep, "AGAIN_S", 0.01)

    async def copies(fts: FakeFts, store: Store | None = None, stop: Stop | None = None) -> Attempt:
        monkeypatch.setattr(transfers, "Fts", lambda *_: fts)
        monkeypatch.setattr(sweep, "SETTLED_WITHIN_S", 0.2)
        plan = plan_probe(ID, [A, B], {Part.TRANSFERS})
        store = store or Store()
        ledger = Ledger(record_of(tmp_path, ID, "lake"), plan.places)
        means = Means(plan, Asked(transfer_timeout_s=0.2), store, ledger, stop or Stop(), Login())  # type: ignore[arg-type]
        found = await copy_all(means)
        return Attempt({f"{one.copy.src}{one.copy.dst}": one for one in found}, ledger, store)

    return copies


async def left_of(attempt: Attempt) -> dict[str, int]:
    return (await sweep.sweep(attempt.ledger, attempt.store)).counts  # type: ignore[arg-type]


NOTHING = {"file": 0, "directory": 0, "job": 0}


async def test_jobs_are_on_record_before_they_are_submitted(attempt: Any, tmp_path: Path) -> None:
    """Each under the id that it then gets; nothing is left when they have finished."""
    fts = FakeFts()
    record = record_of(tmp_path, ID, "lake")
    at_submission: list[set[str]] = []
    fts.on_submit = lambda: at_submission.append({job for _, job in record.read().jobs})
    done = await attempt(fts)
    assert done.states == [State.OK, State.OK]
    assert at_submission == [set(fts.jobs)] * 2
    assert done.copies["AB"].duration_s is not None
    assert await left_of(done) == NOTHING
    names = sorted(url.rpartition("/")[2] for url in done.store.deleted)
    assert [name for name in names if ID not in name] == ["from-A", "from-B", "source", "source"]
    assert len(names) == 4 + 2  # the directories


async def test_an_fts_that_derives_no_ids_tells_them(attempt: Any, tmp_path: Path) -> None:
    """Then they are on record afterwards."""
    done = await attempt(FakeFts(base="", becomes=COPYING, silent=True))
    assert done.states == [State.FAILED] * 2
    assert len(record_of(tmp_path, ID, "lake").read().jobs) == 2
    assert (await left_of(done))["job"] == 2


@pytest.mark.parametrize(
    ("fts", "reason"),
    [
        (FakeFts(who_fails=Refused("connection", "nobody there")), "fts-connection"),
        (FakeFts(submit_fails=Refused("http-400", "no")), "fts-http-400"),
        (FakeFts(submit_fails=Unclear("timeout", "no answer")), "fts-lost"),
        (FakeFts(becomes=JobState("FAILED", "SOURCE [2] No such file")), "source"),
        (FakeFts(becomes=JobState("FAILED", "odd")), "failed"),
        (FakeFts(becomes=JobState("FAILED")), "failed"),
        (FakeFts(becomes=COPYING), "timeout"),
    ],
)
async def test_a_pair_that_fails_says_in_a_word_why_and_leaves_nothing(
    attempt: Any, fts: FakeFts, reason: str
) -> None:
    """Whatever part of it was not done."""
    done = await attempt(fts)
    assert done.states == [State.FAILED] * 2
    assert done.reasons == [reason] * 2
    assert all(copied.message for copied in done.copies.values())
    assert await left_of(done) == NOTHING
    assert set(fts.cancelled) == (set(fts.jobs) if reason == "timeout" else set())


async def test_a_submission_without_an_answer_may_have_been_taken(attempt: Any) -> None:
    """The job is looked for by the id that it must have."""
    done = await attempt(FakeFts(submit_fails=Unclear("timeout", "no answer"), takes_it_all_the_same=True))
    assert done.states == [State.OK] * 2
    assert await left_of(done) == NOTHING


async def test_a_job_that_nobody_knows_may_still_write_its_file(attempt: Any) -> None:
    """Where its id cannot be derived: its file is looked for by the next probe."""
    done = await attempt(FakeFts(base="", submit_fails=Unclear("timeout", "no answer")))
    assert done.reasons == ["fts-timeout"] * 2
    assert await left_of(done) == NOTHING | {"file": 2}


async def test_a_transfer_that_goes_on_after_its_cancellation_is_left_and_said(attempt: Any) -> None:
    """It may write its file after that was deleted: the next probe looks again."""
    done = await attempt(FakeFts(becomes=COPYING, after_cancel=HALF_CANCELLED))
    assert done.reasons == ["timeout"] * 2
    assert "cancelled when it was ACTIVE" in done.copies["AB"].message
    assert await left_of(done) == {"file": 2, "directory": 0, "job": 2}


async def test_an_fts_that_falls_silent_is_named(attempt: Any) -> None:
    """What it was doing cannot be known."""
    done = await attempt(FakeFts(becomes=COPYING, silent=True))
    assert done.copies["AB"].message.endswith("FTS did not answer: FTS is silent")
    assert (await left_of(done))["job"] == 2


async def test_a_source_that_cannot_be_put_fails_its_own_pairs(attempt: Any) -> None:
    """No job is submitted for them, and what was never made is not deleted."""
    fts = FakeFts()
    done = await attempt(fts, Store(refusing="//a:"))
    assert (done.copies["AB"].state, done.copies["BA"].state) == (State.FAILED, State.OK)
    assert done.copies["AB"].message == "the file to copy was not put: connection-refused: nobody there"
    assert [body["files"][0]["metadata"]["src_rse"] for body in fts.bodies] == ["B"]
    assert await left_of(done) == NOTHING
    assert not [url for url in done.store.deleted if url.endswith("from-A")]


async def test_an_interruption_cancels_what_is_under_way(attempt: Any) -> None:
    """And submits nothing more; both pairs are skipped, which is nobody's failure."""
    fts, stop = FakeFts(becomes=COPYING), Stop()
    fts.on_submit = lambda: stop.because("interrupted", "SIGINT")
    done = await attempt(fts, stop=stop)
    assert done.states == [State.SKIPPED] * 2
    assert set(fts.cancelled) == set(fts.jobs)
    assert await left_of(done) == NOTHING


@pytest.mark.parametrize("silent", [False, True])
async def test_the_next_probe_cancels_and_deletes_what_is_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    """What an FTS does not answer for stays on record, with the files that its jobs may yet write."""
    from fdr.probe import earlier

    monkeypatch.setattr(sweep, "SETTLED_WITHIN_S", 0.2)
    monkeypatch.setattr(sweep, "AGAIN_S", 0.01)
    fts = FakeFts(silent=silent, jobs={"job-1": COPYING, "job-2": FINISHED})
    monkeypatch.setattr(earlier, "Fts", lambda *_: fts)
    plan = plan_probe(ID, [A, B], {Part.TRANSFERS})
    record = record_of(tmp_path, ID, "lake")
    traces = Traces(plan.places, (("https://fts", "job-1"), ("https://fts", "job-2")))
    record.keep(traces)
    damaged = record_of(tmp_path, "20261127T000000-0000", "lake")
    damaged.path.write_text("{")
    store = Store()
    count, left = await clean_earlier([record, damaged], store, Login(), 1.0)  # type: ignore[arg-type]
    assert count == 1
    assert {place.url for place in plan.places} <= set(store.deleted)
    assert list(left.jobs) == (["job-1", "job-2"] if silent else [])
    if silent:
        assert record.read() == traces
    else:
        assert fts.cancelled == ["job-1"]
        assert not record.path.exists()
    assert damaged.path.exists()


async def test_one_poll_follows_many_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question names up to fifty of them; who waits hears of his own."""
    monkeypatch.setattr(poll, "EVERY_S", 0.01)
    fts = FakeFts(jobs={f"job-{number}": COPYING for number in range(120)})
    asked: list[int] = []
    states = fts.states

    async def counted(jobs: Sequence[str]) -> dict[str, JobState]:
        asked.append(len(jobs))
        return await states(jobs)

    fts.states = counted  # type: ignore[method-assign]
    async with poll.Poll(fts) as following:  # type: ignore[arg-type]
        waiting = [asyncio.create_task(following.over(job)) for job in fts.jobs]
        while len(asked) < 6:
            await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        fts.jobs["job-7"] = FINISHED
        assert await asyncio.wait_for(waiting[7], 5) is FINISHED
        assert sum(task.done() for task in waiting) == 1
        for task in waiting:
            task.cancel()
    assert max(asked) == 50
