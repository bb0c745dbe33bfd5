"""Every action starts when it is due, and the journal says what became of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from fdr.catalog import NewReplica
from fdr.context import Context
from fdr.dataset_plan import upload_rses
from fdr.engine import Engine
from fdr.errors import Refused, Unclear
from fdr.journal.reader import read_journal
from fdr.journal.writer import Journal
from fdr.model import Did, Ending, Intention, Kind, Limits, Note, Outcome, Rule, RunStarted, Scenario, When
from fdr.outages import Outages
from fdr.patient_catalog import PatientCatalog
from fdr.payload import Payload
from fdr.pfn import Locator
from fdr.plan import plan
from fdr.registrar import Registrar
from fdr.scenario.load import load_scenario
from fdr.stop import Stop
from tests.fakes.catalog import FakeCatalog
from tests.fakes.clock import FakeClock
from tests.fakes.storage import FakeStorage

SMOKE = Path(__file__).parents[1] / "scenarios" / "smoke.yaml"
RUN = "20261122T203015-7f3a"
FILES = 132


class Stage:
    """A whole run in memory, with a real journal; ``storage.weather`` and ``catalog.weather`` disturb it."""

    def __init__(self, tmp_path: Path, scenario: Scenario) -> None:
        owners = {experiment.scope: experiment.account for experiment in scenario.experiments.values()}
        self.scenario = scenario
        self.catalog = FakeCatalog(scenario.rses, owners)
        self.storage = WeatheredStorage()
        self.clock = FakeClock()
        self.path = tmp_path / "journal.sqlite"
        started = RunStarted(RUN, "smoke", 2020, "", 1.0, 1.0, self.clock.now(), "0", "0", "fake", "")
        self.journal = Journal.create(self.path, started, max_delay_s=0.001)
        self.stop = Stop()

    async def perform(self, **engine: int) -> None:
        accounts = {experiment.account for experiment in self.scenario.experiments.values()}
        outages = Outages(self.catalog.log_in, self.journal.record, self.clock, self.stop)
        catalog = PatientCatalog(self.catalog, outages)
        rses = {name: await self.catalog.rse("cta", name) for name in upload_rses(self.scenario)}
        context = Context(
            run=RUN,
            date="20261122",
            scenario=self.scenario,
            catalog=catalog,
            storage=self.storage,
            locators={name: Locator(facts) for name, facts in rses.items() if facts is not None},
            journal=self.journal,
            clock=self.clock,
            registrars={account: Registrar(catalog, account) for account in accounts},
        )
        options = {"uploads": 16} | engine
        try:
            await Engine(context, **options).run(plan(self.scenario), self.clock.now(), self.stop)
        finally:
            await self.journal.close()

    def events(self) -> list[object]:
        with read_journal(self.path) as reader:
            return list(reader.events())

    def outcomes(self, step: str) -> Counter[tuple[Ending, str]]:
        return Counter(
            (event.ending, event.reason)
            for event in self.events()
            if isinstance(event, Outcome) and event.step == step
        )


class WeatheredStorage(FakeStorage):
    """A storage that may be told to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.weather: Callable[[str], None] = lambda url: None
        self.hold: asyncio.Event | None = None
        self.held = ""  # the RSEs whose addresses contain this

    async def put(self, payload: Payload, url: str, *, overwrite: bool = False) -> None:
        if self.hold is not None and self.held in url:
            await self.hold.wait()
        self.weather(url)
        await super().put(payload, url, overwrite=overwrite)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path, load_scenario(SMOKE))
    yield stage
    await stage.journal.close()


async def test_datasets_and_files_get_the_metadata_of_their_experiment(tmp_path: Path) -> None:
    """Those of an experiment that says nothing get none."""
    scenario = load_scenario(SMOKE, sets=["experiments.CTA.metadata={project: fdr, campaign: noise}"])
    stage = Stage(tmp_path, scenario)
    await stage.perform()
    found = [(did.scope, held.metadata, file.metadata) for did, held in stage.catalog.datasets.items()
             for file in held.files.values()]  # fmt: skip
    wanted = {"project": "fdr", "campaign": "noise"}
    assert len(found) == FILES
    for scope, *metadata in found:
        assert metadata == ([wanted, wanted] if scope == "cta_fdr" else [{}, {}])


async def test_a_fair_run_does_all_that_was_planned(stage: Stage) -> None:
    """Every file is stored, registered and in a closed dataset with its rules."""
    await stage.perform()
    assert len(stage.storage.files) == FILES
    registered = [file for dataset in stage.catalog.datasets.values() for file in dataset.files.values()]
    assert len(registered) == FILES
    assert not any(dataset.is_open for dataset in stage.catalog.datasets.values())
    assert stage.outcomes("put") == stage.outcomes("register") == {(Ending.OK, ""): FILES}
    assert stage.outcomes("close") == {(Ending.OK, ""): 7}
    assert (
        stage.outcomes("rule")
        == {(Ending.OK, ""): 10}
        == Counter({(Ending.OK, ""): len(stage.catalog.rules_added)})
    )


async def test_every_action_is_intended_before_it_ends(stage: Stage) -> None:
    """Nothing has an outcome that had no intention, and the due times are the plan's."""
    await stage.perform()
    events = stage.events()
    intended = {event.action: event for event in events if isinstance(event, Intention)}
    planned = {action.id: action for action in plan(stage.scenario)}
    assert intended.keys() == planned.keys()
    assert {event.action for event in events if isinstance(event, Outcome)} == intended.keys()
    begun_at = next(event for event in events if isinstance(event, Intention)).due_at
    first = min(action.due_s for action in planned.values())
    for number, event in intended.items():
        assert event.due_at - begun_at == pytest.approx(planned[number].due_s - first, abs=1e-6)


async def test_a_storage_that_refuses_costs_only_its_own_files(stage: Stage) -> None:
    """The refused files are failed with the storage's reason; the others go on."""

    def refuse(url: str) -> None:
        if "pic-dcache" in url:
            raise Refused("no-space", "disk full")

    stage.storage.weather = refuse
    await stage.perform()
    assert stage.outcomes("put") == {(Ending.FAILED, "no-space"): 60, (Ending.OK, ""): 72}
    assert stage.outcomes("register") == {(Ending.OK, ""): 72}


async def test_an_unclear_put_is_unknown_and_not_registered(stage: Stage) -> None:
    """What may or may not be there is never claimed."""

    def break_off(url: str) -> None:
        raise Unclear("timeout", "no answer")

    stage.storage.weather = break_off
    await stage.perform()
    assert stage.outcomes("put") == {(Ending.UNKNOWN, "timeout"): FILES}
    assert stage.outcomes("register") == {}


async def test_a_dataset_that_cannot_be_made_fails_its_files_and_rules(stage: Stage) -> None:
    """Nothing is registered without its dataset, and the reason can be counted."""

    def refuse(operation: str, subject: object) -> None:
        if operation == "create_dataset" and "LSST" in str(subject):
            raise Refused("access-denied", "no")

    stage.catalog.weather = refuse
    await stage.perform()
    assert stage.outcomes("register") == {(Ending.FAILED, "no-dataset"): 40, (Ending.OK, ""): 92}
    assert stage.outcomes("close") == {(Ending.FAILED, "no-dataset"): 2, (Ending.OK, ""): 5}
    assert stage.outcomes("rule") == {(Ending.FAILED, "no-dataset"): 2, (Ending.OK, ""): 8}


async def test_what_does_not_fit_in_flight_is_dropped_and_said(stage: Stage) -> None:
    """With hung storages the bound holds, and every file that was due has an ending or is in flight."""
    stage.storage.hold = asyncio.Event()
    performing = asyncio.create_task(stage.perform(in_flight=3))
    while stage.clock.now() < 1_000_019.0:
        await asyncio.sleep(0.001)
    stage.storage.hold.set()
    await performing
    outcomes = stage.outcomes("put")
    assert outcomes[Ending.DROPPED, "in-flight-bound"] >= FILES - 30
    assert sum(outcomes.values()) == FILES
    assert stage.outcomes("close") == {(Ending.OK, ""): 7}


async def test_a_storage_that_hangs_delays_and_drops_only_its_own_files(stage: Stage) -> None:
    """Slots and the in-flight bound are counted for each RSE: the others' files start when they are due."""
    stage.storage.hold, stage.storage.held = asyncio.Event(), "pic-dcache"
    performing = asyncio.create_task(stage.perform(uploads=2, in_flight=5))
    while stage.clock.now() < 1_000_019.0:
        await asyncio.sleep(0.001)
    stage.storage.hold.set()
    await performing
    intentions = {event.action: event for event in stage.events() if isinstance(event, Intention)}
    puts = [event for event in stage.events() if isinstance(event, Outcome) and event.step == "put"]
    others = [event for event in puts if intentions[event.action].rse != "PIC-DCACHE"]
    assert {event.ending for event in others} == {Ending.OK}
    assert len(others) == FILES - 60
    assert max(event.begun_at - intentions[event.action].due_at for event in others) < 1.0
    due_later = sum(one.rse == "PIC-DCACHE" and one.due_at > 1_000_018.5 for one in intentions.values())
    assert due_later < 20
    assert stage.outcomes("put")[Ending.DROPPED, "in-flight-bound"] >= 60 - 5 - due_later


async def test_files_that_wait_to_be_registered_take_no_room_at_a_storage(stage: Stage) -> None:
    """While Rucio is out, uploads go on: what is put only waits, up to a bound of its own."""
    back = asyncio.Event()
    register = stage.catalog.register

    async def wait_and_register(account: str, replicas: Sequence[NewReplica]) -> None:
        await back.wait()
        await register(account, replicas)

    stage.catalog.register = wait_and_register  # type: ignore[method-assign]
    performing = asyncio.create_task(stage.perform(uploads=2, in_flight=5))
    async with asyncio.timeout(30):
        while len(stage.storage.files) < FILES:
            await asyncio.sleep(0.001)
    back.set()
    await performing
    assert stage.outcomes("register") == {(Ending.OK, ""): FILES}


async def test_an_outage_of_rucio_costs_lateness_and_no_file(stage: Stage) -> None:
    """After ten seconds without Rucio all datasets, files, closings and rules are there; it is noted."""
    since, until = stage.clock.now() + 3, stage.clock.now() + 13

    def out(operation: str, subject: object) -> None:
        if since <= stage.clock.now() < until:
            raise Unclear("server-connection", "Rucio cannot be reached")

    stage.catalog.weather = out
    await stage.perform()
    registered = [file for dataset in stage.catalog.datasets.values() for file in dataset.files.values()]
    assert len(registered) == FILES
    assert not any(dataset.is_open for dataset in stage.catalog.datasets.values())
    for step, count in {"create": 7, "put": FILES, "register": FILES, "close": 7, "rule": 10}.items():
        assert stage.outcomes(step) == {(Ending.OK, ""): count}
    noted = [event for event in stage.events() if isinstance(event, Note) and event.kind == "outage"]
    assert len(noted) == 1
    assert ", server-connection:" in noted[0].text


async def test_files_are_registered_once_the_rules_at_creation_are_there(stage: Stage) -> None:
    """Rucio may forget files that are attached while it adds a rule; their bytes are put all the same."""
    answered = asyncio.Event()
    add_rule = stage.catalog.add_rule

    async def wait_and_add(account: str, dataset: Did, rule: Rule) -> str:
        if rule.when is When.AT_CREATION:
            await answered.wait()
        return await add_rule(account, dataset, rule)

    stage.catalog.add_rule = wait_and_add  # type: ignore[method-assign]
    performing = asyncio.create_task(stage.perform())
    async with asyncio.timeout(30):
        while len(stage.storage.files) < FILES:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.3)  # longer than registrations are gathered for
    early = [did for did in stage.catalog.datasets if did.scope == "cta_fdr"]  # the one with such a rule
    assert early
    assert not any(stage.catalog.datasets[did].files for did in early)
    answered.set()
    await performing
    assert stage.outcomes("register") == {(Ending.OK, ""): FILES}
    assert stage.outcomes("rule") == {(Ending.OK, ""): 10}


async def test_the_budget_ends_the_run_orderly(stage: Stage) -> None:
    """Not one file more than the limit is begun."""
    stage.scenario = replace(stage.scenario, limits=Limits(files=50))
    await stage.perform()
    assert len(stage.storage.files) == 50
    assert (stage.stop.kind, stage.stop.text) == ("limit", "limits.files: 50 files have been begun")
    assert stage.outcomes("put")[Ending.OK, ""] == 50


async def test_after_a_stop_nothing_starts_and_what_is_in_flight_ends(stage: Stage) -> None:
    """Files put before the stop are registered; no file is put after it."""
    begun: list[str] = []

    def stop_at_twenty(url: str) -> None:
        begun.append(url)
        if len(begun) == 20:
            stage.stop.because("interrupted", "SIGINT")

    stage.storage.weather = stop_at_twenty
    await stage.perform()
    done = stage.outcomes("put")[Ending.OK, ""]
    assert 20 <= done < 40
    assert stage.outcomes("register") == {(Ending.OK, ""): done}
    assert [event for event in stage.events() if isinstance(event, Note)][-1].kind == "injected"


async def test_a_defect_is_raised_after_the_others_have_ended(stage: Stage) -> None:
    """What nobody foresaw ends the run, and is not taken for a failure of the lake."""

    def surprise(url: str) -> None:
        raise ZeroDivisionError

    stage.storage.weather = surprise
    with pytest.raises(ZeroDivisionError):
        await stage.perform()
    assert stage.outcomes("put") == {}
    assert stage.stop.wanted


async def test_a_day_passes_in_virtual_time(tmp_path: Path) -> None:
    """Due times are kept over 24 hours: every put begins at its due time on the fake clock."""
    scenario = load_scenario(SMOKE, scale=7, sets=("duration=24h", "defaults.lifetime=3d"))
    stage = Stage(tmp_path, scenario)
    await stage.perform()
    events = stage.events()
    due = {event.action: event.due_at for event in events if isinstance(event, Intention)}
    late = [
        event.begun_at - due[event.action]
        for event in events
        if isinstance(event, Outcome) and event.step == "put"
    ]
    assert len(late) == 7 * FILES
    assert min(late) >= -1e-6  # nothing starts early
    assert max(late) < 1.0
    assert max(due.values()) - min(due.values()) > 20 * 3600
    assert {Kind.UPLOAD} <= {event.kind for event in events if isinstance(event, Intention)}
