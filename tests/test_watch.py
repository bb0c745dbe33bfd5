"""Rules are followed until they have done their work, and missing transfer events are noticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import fdr.watch
from fdr.catalog import NewDataset, NewReplica
from fdr.errors import Unclear
from fdr.journal.reader import JournalReader, read_journal
from fdr.journal.writer import Journal
from fdr.model import (
    Did,
    Ending,
    Event,
    Intention,
    Kind,
    Note,
    Outcome,
    Rule,
    RuleSeen,
    RunStarted,
    TransferSeen,
    When,
)
from fdr.scenario.load import load_scenario
from fdr.stop import Stop
from fdr.watch import Watch
from tests.fakes.catalog import FakeCatalog
from tests.fakes.clock import FakeClock

SMOKE = Path(__file__).parents[1] / "scenarios" / "smoke.yaml"
RUN = "20261122T203015-7f3a"
DATASET = Did("cta_fdr", f"{RUN}/CTA/dataset-00000")
FILES = 5


class Run:
    """A run with one dataset of five files at PIC-DCACHE and one rule to DESY-DCACHE."""

    def __init__(self, path: Path) -> None:
        scenario = load_scenario(SMOKE)
        owners = {experiment.scope: experiment.account for experiment in scenario.experiments.values()}
        self.catalog = FakeCatalog(scenario.rses, owners)
        self.clock = FakeClock()
        started = RunStarted(RUN, "smoke", 2020, "", 1.0, 1.0, self.clock.now(), "0", "0", "fake", "")
        self.path = path
        self.journal = Journal.create(path, started, max_delay_s=0.001)
        self.reader: JournalReader = read_journal(path)
        self.watch = Watch(RUN, scenario, self.catalog, self.journal, self.reader, self.clock, 0.0)
        self.injected = asyncio.Event()
        self.stop = Stop()

    async def inject(self) -> str:
        """Do and journal what the engine would."""
        rule = Rule("country=DE", 1, 3600, "Functional Test", When.AT_CREATION)
        files = [
            NewReplica(Did("cta_fdr", f"{RUN}/{n}"), DATASET, "PIC-DCACHE", 10, "0") for n in range(FILES)
        ]
        await self.catalog.create_dataset("cta", NewDataset(DATASET, 3600))
        rule_id = await self.catalog.add_rule("cta", DATASET, rule)
        await self.catalog.register("cta", files)
        self.journal.record(
            Intention(100, Kind.DATASET, "CTA", 0, DATASET, "", 0, 0.0),
            Outcome(101, "rule", 0.0, 1.0, Ending.OK, detail=rule_id),
        )
        for number, file in enumerate(files):
            self.journal.record(
                Intention(number, Kind.UPLOAD, "CTA", 0, file.did, file.rse, 10, 0.0),
                Outcome(number, "register", 0.0, 1.0, Ending.OK),
            )
        self.injected.set()
        return rule_id

    def hear_of(self, files: int) -> None:
        for number in range(files):
            did = Did("cta_fdr", f"{RUN}/{number}")
            times = (None, None, None, None)
            self.journal.record(
                TransferSeen(0.0, True, f"r{number}", did, "PIC-DCACHE", "DESY-DCACHE", 10, "", "", *times)
            )

    async def events(self) -> list[Event]:
        await self.journal.flush()
        with read_journal(self.path) as reader:
            return list(reader.events())

    async def notes(self) -> dict[str, str]:
        return {event.kind: event.text for event in await self.events() if isinstance(event, Note)}


@pytest.fixture
async def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Run]:
    monkeypatch.setattr(fdr.watch, "INTERVAL_S", 0.01)
    run = Run(tmp_path / "journal.sqlite")
    yield run
    run.reader.close()
    await run.journal.close()


async def follow(run: Run, grace_s: float = 60.0) -> None:
    await asyncio.wait_for(run.watch.follow(run.injected, run.stop, grace_s), 20)


async def test_an_ok_rule_over_all_files_ends_the_watch(run: Run) -> None:
    """Its state and locks are journaled, with no note."""
    rule_id = await run.inject()
    await follow(run)
    (seen,) = [event for event in await run.events() if isinstance(event, RuleSeen)]
    assert (seen.rule_id, seen.state, seen.locks_ok) == (rule_id, "OK", FILES)
    assert await run.notes() == {}


async def test_a_rule_that_is_ok_without_all_files_has_not_done_its_work(run: Run) -> None:
    """Rucio calls a rule OK before it has looked at files that came later; the watch goes on."""
    await run.inject()
    files = run.catalog.datasets[DATASET].files
    last = files.popitem()
    following = asyncio.create_task(follow(run))
    await asyncio.sleep(0.2)
    assert not following.done()
    files.update([last])
    await following
    assert await run.notes() == {}


async def test_after_the_grace_the_watch_gives_up_and_says_what_is_open(run: Run) -> None:
    """The note counts rules by state."""
    run.catalog.transfers_run = False
    await run.inject()

    async def pass_time() -> None:
        await asyncio.sleep(0.1)
        await run.clock.sleep_until(run.clock.now() + 61)

    await asyncio.gather(follow(run), pass_time())
    assert (await run.notes())["grace-over"] == "1 rules REPLICATING"


async def test_a_rule_that_rucio_does_not_list_is_not_taken_for_done(run: Run) -> None:
    """What was added and is gone is said."""
    await run.inject()
    run.catalog.rules_added.clear()

    async def pass_time() -> None:
        await asyncio.sleep(0.1)
        await run.clock.sleep_until(run.clock.now() + 61)

    await asyncio.gather(follow(run), pass_time())
    assert (await run.notes())["grace-over"] == "1 rules not listed by Rucio"


async def test_a_catalogue_that_does_not_answer_is_asked_again(run: Run) -> None:
    """Three failures cost three intervals and nothing else."""
    await run.inject()
    failures = iter(range(3))

    def storm(operation: str, subject: object) -> None:
        if operation == "rules" and next(failures, None) is not None:
            raise Unclear("timeout", "no answer")

    run.catalog.weather = storm
    await follow(run)
    assert await run.notes() == {}
    assert next(failures, None) is None


@pytest.mark.parametrize(
    ("heard", "missing"), [(FILES, None), (FILES - 2, "2 transfers"), (0, "5 transfers")]
)
async def test_transfers_that_were_not_heard_of_are_noted(run: Run, heard: int, missing: str | None) -> None:
    """Every file of an OK rule at another RSE was a transfer; the journal says how many are missing."""
    await run.inject()
    await follow(run)
    run.hear_of(heard)
    await asyncio.wait_for(run.watch.await_transfers(run.stop), 20)
    lost = (await run.notes()).get("events-lost")
    assert lost == (f"{missing} of finished rules were never heard of" if missing else None)


async def test_an_rse_that_rucio_chose_for_an_empty_dataset_and_left_needs_no_transfers(run: Run) -> None:
    """Rucio keeps the dataset lock of an RSE to which no file went."""
    rule_id = await run.inject()
    run.catalog.stale_locks[rule_id] = {"SARA-DCACHE"}
    await follow(run)
    run.hear_of(FILES)
    await asyncio.wait_for(run.watch.await_transfers(run.stop), 20)
    assert await run.notes() == {}
