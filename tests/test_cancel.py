"""What a run's rules have not done yet is cancelled on request, and the record says what exactly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import fdr.cancel
from fdr.cancel import cancel_open_rules
from fdr.catalog import NewDataset, NewReplica
from fdr.errors import Refused, Unclear
from fdr.fold import fold
from fdr.journal.reader import read_journal
from fdr.journal.writer import Journal
from fdr.metrics import Planned, RuleCounts
from fdr.model import Did, Ending, Intention, Kind, Note, Outcome, Rule, RuleSeen, RunStarted, When
from fdr.scenario.load import load_scenario
from fdr.watch import Watch
from tests.fakes.catalog import FakeCatalog
from tests.fakes.clock import FakeClock
from tests.fakes.rule_removal import FakeRuleRemoval

SMOKE = Path(__file__).parents[1] / "scenarios" / "smoke.yaml"
RUN = "20261122T203015-7f3a"
STARTED = RunStarted(RUN, "smoke", 2020, "", 1.0, 1.0, 1_000_000.0, "0", "0", "fake", "")


class Run:
    """A run with three datasets of one file and a rule each, which transfers nothing."""

    def __init__(self, path: Path) -> None:
        scenario = load_scenario(SMOKE)
        owners = {experiment.scope: experiment.account for experiment in scenario.experiments.values()}
        self.catalog = FakeCatalog(scenario.rses, owners)
        self.catalog.transfers_run = False
        self.removal = FakeRuleRemoval(self.catalog)
        self.clock = FakeClock()
        self.path = path
        self.journal = Journal.create(path, STARTED, max_delay_s=0.001)
        self.reader = read_journal(path)
        self.watch = Watch(RUN, scenario, self.catalog, self.journal, self.reader, self.clock)
        self.rules: list[str] = []

    async def inject(self) -> None:
        rule = Rule("country=DE", 1, 3600, "Functional Test", When.AT_CREATION)
        for n in range(3):
            dataset, file = Did("cta_fdr", f"{RUN}/{n}"), Did("cta_fdr", f"{RUN}/{n}/file")
            await self.catalog.create_dataset("cta", NewDataset(dataset, 3600))
            self.rules.append(await self.catalog.add_rule("cta", dataset, rule))
            await self.catalog.register("cta", [NewReplica(file, dataset, "PIC-DCACHE", 10, "0")])
            self.journal.record(
                Intention(n, Kind.DATASET, "CTA", n, dataset, "", 0, 0.0),
                Intention(10 + n, Kind.RULE, "CTA", n, dataset, "country=DE", 0, 0.0),
                Intention(20 + n, Kind.UPLOAD, "CTA", n, file, "PIC-DCACHE", 10, 0.0),
                Outcome(10 + n, "rule", 0.0, 1.0, Ending.OK, detail=self.rules[-1]),
                Outcome(20 + n, "put", 0.0, 1.0, Ending.OK),
                Outcome(20 + n, "register", 0.0, 1.0, Ending.OK),
            )
        await self.journal.flush()

    async def cancel(self) -> None:
        cancelling = cancel_open_rules(self.watch, self.removal, self.journal, self.clock)
        await asyncio.wait_for(cancelling, 20)
        await self.journal.flush()

    def cancels(self) -> set[tuple[int, str, Ending]]:
        with read_journal(self.path) as reader:
            return {
                (event.action, event.detail, event.ending)
                for event in reader.events()
                if isinstance(event, Outcome) and event.step == "cancel"
            }

    def notes(self) -> dict[str, str]:
        with read_journal(self.path) as reader:
            return {event.kind: event.text for event in reader.events() if isinstance(event, Note)}

    def counts(self) -> RuleCounts:
        with read_journal(self.path) as reader:
            return fold(STARTED, Planned({}), reader.events()).experiments["CTA"].rules


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Run]:
    run = Run(tmp_path / "journal.sqlite")
    yield run
    run.reader.close()
    await run.journal.close()


async def test_open_rules_are_ended_and_each_is_recorded(run: Run) -> None:
    """The note counts them, an outcome of each rule's action names it, the report counts them apart."""
    await run.inject()
    await run.cancel()
    assert not run.catalog.rules_added
    assert run.cancels() == {(10 + n, rule, Ending.OK) for n, rule in enumerate(run.rules)}
    assert run.notes() == {"cancelling": "3 rules that were not OK", "cancelled": "3 rules cancelled"}
    assert run.counts() == RuleCounts(added=3, cancelled=3)


async def test_a_rule_that_has_done_its_work_is_left_alone(run: Run) -> None:
    """What was transferred stays."""
    await run.inject()
    run.catalog.transfers_run = True
    await run.cancel()
    assert set(run.catalog.rules_added) == set(run.rules)
    assert (run.cancels(), run.notes()["cancelled"]) == (set(), "0 rules cancelled")


async def test_an_ok_rule_that_has_not_seen_its_files_is_cancelled_too(run: Run) -> None:
    """Rucio calls it OK, and would transfer them a moment later."""
    await run.inject()
    await run.journal.flush()
    run.catalog.transfers_run = True
    dataset = Did("cta_fdr", f"{RUN}/0")
    file = run.catalog.datasets[dataset].files.popitem()
    await run.cancel()
    assert file
    assert run.removal.ended == [run.rules[0]]


async def test_a_rule_without_any_lock_yet_is_cancelled_too(run: Run) -> None:
    """Rucio has not looked at it yet: it has no lock that is not OK, and would get some."""
    dataset = Did("cta_fdr", f"{RUN}/empty")
    await run.catalog.create_dataset("cta", NewDataset(dataset, 3600))
    rule = Rule("country=DE", 1, 3600, "Functional Test", When.AT_CREATION)
    rule_id = await run.catalog.add_rule("cta", dataset, rule)
    await run.cancel()
    assert run.removal.ended == [rule_id]
    assert run.notes()["cancelled"] == "1 rules cancelled"  # though the journal does not know who added it


async def test_the_intention_is_on_disk_before_the_first_rule_is_ended(run: Run) -> None:
    """A process that is killed while it cancels leaves a record that it did."""
    noted: list[bool] = []
    run.catalog.weather = lambda operation, _: (
        noted.append("cancelling" in run.notes()) if operation == "delete_rule" else None
    )
    await run.inject()
    await run.cancel()
    assert noted == [True, True, True]


async def test_a_rule_that_cannot_be_ended_is_said(run: Run) -> None:
    """With the reason, which can be counted; the others are cancelled all the same."""

    def refuse(operation: str, subject: object) -> None:
        if operation == "delete_rule" and subject == run.rules[0]:
            raise Refused("access-denied", "cta can not update this rule")
        if operation == "delete_rule" and subject == run.rules[1]:
            raise Unclear("timeout", "no answer")

    run.catalog.weather = refuse
    await run.inject()
    await run.cancel()
    assert run.cancels() == {
        (10, run.rules[0], Ending.FAILED), (11, run.rules[1], Ending.UNKNOWN), (12, run.rules[2], Ending.OK),
    }  # fmt: skip
    said = "1 rules cancelled, 1 could not be cancelled (access-denied), 1 could not be cancelled (timeout)"
    assert run.notes()["cancelled"] == said
    assert run.counts() == RuleCounts(added=3, replicating=2, cancelled=1)


async def test_rules_that_rucio_keeps_are_not_called_gone(run: Run) -> None:
    """Its daemon is waited for, and not for ever."""
    run.removal.judge_sleeps = True
    await run.inject()
    await run.cancel()
    assert run.notes()["cancelled"] == "3 rules cancelled, 3 of them not deleted by Rucio within 90s"
    assert run.clock.now() >= 1_000_000 + fdr.cancel.DELETED_WITHIN_S


async def test_a_catalogue_that_does_not_answer_is_said(run: Run) -> None:
    """Nothing is claimed to be cancelled."""

    def hang(operation: str, subject: object) -> None:
        if operation == "rules":
            raise Unclear("timeout", "Rucio did not answer within 60 s")

    await run.inject()
    run.catalog.weather = hang
    await run.cancel()
    assert "did not say" in run.notes()["cancelled"]
    assert run.counts() == RuleCounts(added=3, replicating=3)


async def test_a_rule_that_is_added_again_is_no_longer_cancelled(run: Run) -> None:
    """As a resumed run may do: the last that was done to it counts."""
    await run.inject()
    await run.cancel()
    again = Outcome(10, "rule", 5.0, 6.0, Ending.OK, detail="again")
    run.journal.record(again, RuleSeen(7.0, "again", "OK", 1, 0, 0))
    await run.journal.flush()
    assert run.counts() == RuleCounts(added=3, ok=1, cancelled=2)
