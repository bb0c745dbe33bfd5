"""Folding a journal that was cut at any event never claims more than happened."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdr.fold import Fold, fold
from fdr.journal.reader import read_journal
from fdr.journal.writer import Journal
from fdr.judgement import judge_all, overall
from fdr.metrics import Metrics
from fdr.model import Ending, Event, Intention, Kind, Outcome, TransferSeen, Verdict
from tests.whole_run import EXPERIMENTS, PLANNED, STARTED, Truth, WholeRun

# A run that comes to its end meets these, whatever went wrong in it.
ALWAYS_MET = ("upload.success >= 0%", "upload.failed <= 100%", "upload.count >= 0")
whole_runs = st.builds(
    WholeRun, st.integers(0, 10**6), st.sampled_from((0.0, 0.1, 0.4, 1.0)), st.integers(1, 3)
)


def recorded(events: Sequence[Event]) -> tuple[Counter[str], Counter[str]]:
    """Count by hand how the uploads of these events stand, and what else is said to be done."""
    kinds = {event.action: event.kind for event in events if isinstance(event, Intention)}
    last = {(event.action, event.step): event.ending for event in events if isinstance(event, Outcome)}
    uploads: Counter[str] = Counter()
    for action in (action for action, kind in kinds.items() if kind is Kind.UPLOAD):
        put, register = last.get((action, "put")), last.get((action, "register"))
        uploads["registered"] += register is Ending.OK
        if put is Ending.OK and register is Ending.OK:
            uploads["ok"] += 1
        elif put is Ending.DROPPED:
            uploads["dropped"] += 1
        elif put is Ending.FAILED or (put is Ending.OK and register is Ending.FAILED):
            uploads["failed"] += 1
        else:
            uploads["unknown"] += 1
    done = Counter(step for (_, step), ending in last.items() if ending is Ending.OK)
    done["transfer"] = len({e.request_id for e in events if isinstance(e, TransferSeen) and e.done})
    return uploads, done


def assert_claims_no_more(metrics: Metrics, events: Sequence[Event], truth: Truth) -> None:
    """Check the numbers of a journal that holds these events against them, and against what was true."""
    found = metrics.experiments.values()
    uploads, done = recorded(events)
    assert sum(part.files.ok for part in found) == uploads["ok"] <= truth.ok
    assert sum(part.files.registered for part in found) == uploads["registered"] <= truth.registered
    assert sum(part.files.failed for part in found) == uploads["failed"]
    assert sum(part.files.unknown for part in found) == uploads["unknown"]
    assert sum(part.files.dropped for part in found) == uploads["dropped"]
    assert sum(part.files.bytes_ok for part in found) == 10 * uploads["ok"]
    assert sum(part.datasets_created for part in found) == done["create"] <= truth.created
    assert sum(part.datasets_closed for part in found) == done["close"] <= truth.closed
    rules = [part.rules for part in found]
    assert sum(counts.added for counts in rules) == done["rule"] <= truth.rules
    assert sum(c.ok + c.replicating + c.stuck + c.cancelled for c in rules) == done["rule"]
    assert sum(counts.cancelled for counts in rules) == done["cancel"]
    assert sum(link.done for link in metrics.links) == done["transfer"] <= truth.transfers
    for part in found:
        files = part.files
        ends = files.ok + files.failed + files.unknown + files.dropped + part.files_not_reached
        assert ends == part.planned.files


def verdict(metrics: Metrics) -> Verdict:
    return overall(judge_all(ALWAYS_MET, metrics), metrics)[0]


@settings(max_examples=40, deadline=None)
@given(whole_runs)
def test_a_journal_cut_at_any_event_claims_no_more_than_happened(run: WholeRun) -> None:
    """At every cut: what is counted is what was recorded, and no more than was true; it never passes."""
    folding = Fold(STARTED, PLANNED)
    events: list[Event] = []
    for moment in run.moments:
        if events:
            assert verdict(folding.metrics()) is not Verdict.PASS
        events.append(moment.event)
        folding.take(moment.event)
        metrics = folding.metrics()
        assert_claims_no_more(metrics, events, moment.truth)
        assert metrics.is_complete <= (moment is run.moments[-1])
    assert folding.metrics() == fold(STARTED, PLANNED, events)


def test_a_run_that_came_to_its_end_may_pass() -> None:
    """So that the cut ones fail to for a reason."""
    run = WholeRun(seed=1, trouble=0.0, sessions=1)
    metrics = fold(STARTED, PLANNED, [moment.event for moment in run.moments])
    assert verdict(metrics) is Verdict.PASS
    assert {name: part.files.ok for name, part in metrics.experiments.items()} == dict.fromkeys(
        EXPERIMENTS, 6
    )


def test_the_made_up_runs_have_what_they_are_to_test() -> None:
    """Among a few are unknown, failed, dropped and twice tried files, and sessions cut in the middle."""
    events = [moment.event for seed in range(20) for moment in WholeRun(seed, 0.3, 3).moments]
    endings = {(event.step, event.ending) for event in events if isinstance(event, Outcome)}
    assert {("put", ending) for ending in Ending} <= endings
    assert {("register", Ending.UNKNOWN), ("rule", Ending.UNKNOWN), ("cancel", Ending.OK)} <= endings
    ahead = [m for seed in range(20) for m in WholeRun(seed, 0.3, 3).moments if m.truth.registered]
    assert any(
        m.truth.registered > sum(isinstance(e, Outcome) and e.step == "register" for e in (m.event,))
        for m in ahead
    )


@pytest.mark.parametrize("seed", range(8))
async def test_a_journal_whose_writer_was_killed_claims_no_more_than_happened(
    seed: int, tmp_path: Path
) -> None:
    """The files on disk at random moments, as kill -9 would leave them, hold a beginning of the run."""
    run = WholeRun(seed, 0.3, 2)
    draw = random.Random(seed)
    path = tmp_path / "journal.sqlite"
    journal = Journal.create(path, STARTED, max_delay_s=0.0005)
    found = set()
    for number, moment in enumerate(run.moments):
        if isinstance(moment.event, Intention):
            await journal.intend([moment.event])
        else:
            journal.record(moment.event)
        if draw.random() < 0.2:
            await asyncio.sleep(draw.random() * 0.002)
            copy = tmp_path / f"killed-{number}"
            copy.mkdir()
            for name in ("journal.sqlite", "journal.sqlite-wal"):
                shutil.copyfile(tmp_path / name, copy / name)
            with read_journal(copy / "journal.sqlite") as reader:
                events = list(reader.events())
            found.add(len(events))
            written = [moment.event for moment in run.moments[: len(events)]]
            assert Counter(events) == Counter(written)
            truth = run.moments[max(0, len(events) - 1)].truth
            metrics = fold(STARTED, PLANNED, events)
            assert_claims_no_more(metrics, written, truth)
            assert verdict(metrics) is not Verdict.PASS or len(events) == len(run.moments)
    await journal.close()
    assert len(found) > 5
