"""A run that was killed anywhere goes on: nothing is lost, nothing is done twice, and the record says so."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdr.cancel import cancel_open_rules
from fdr.catalog import NewDataset, NewReplica
from fdr.context import Context
from fdr.dataset_plan import upload_rses
from fdr.earlier import Earlier, read_earlier
from fdr.engine import Engine
from fdr.errors import LakeUnusable, Refused, Unclear
from fdr.fold import fold
from fdr.journal.reader import read_journal
from fdr.journal.writer import Journal
from fdr.ledger import Ledger
from fdr.metrics import Metrics
from fdr.model import (
    SETTLED,
    Did,
    Ending,
    Event,
    GeneratorUsage,
    Intention,
    Kind,
    Limits,
    Note,
    Outcome,
    Resumed,
    Rule,
    RunStarted,
    Scenario,
    ServiceSample,
)
from fdr.payload import Payload
from fdr.pfn import Locator
from fdr.plan import plan
from fdr.planned import planned
from fdr.registrar import Registrar
from fdr.scenario.load import load_scenario
from fdr.settle import settle
from fdr.standing import Left, Standing
from fdr.stop import Stop
from fdr.storage.base import Stat
from fdr.watch import Watch
from tests.fakes.catalog import FakeCatalog
from tests.fakes.clock import FakeClock
from tests.fakes.inventory import FakeInventory
from tests.fakes.rule_removal import FakeRuleRemoval
from tests.fakes.storage import FakeStorage

SMOKE = Path(__file__).parents[1] / "scenarios" / "smoke.yaml"
RUN = "20261122T203015-7f3a"
BEGIN = 1_000_000.0
T = TypeVar("T")


def noop() -> None:
    """Spoil nothing."""


class Death:
    """Strikes before or after one of the deeds at the lake, counted from 0; then nobody does anything.

    ``of`` names the kind of deed that is counted; ``halves`` lets a put die in the middle of its bytes;
    ``lingers_s`` gives the record of what came before some time to reach the disk.
    """

    def __init__(
        self, at: int | None = None, after_it: bool = False, of: str = "", lingers_s: float = 0
    ) -> None:
        self.struck = asyncio.Event()
        self._of = of
        self._lingers_s = lingers_s
        self._left = at
        self._after_it = after_it

    async def around(
        self, name: str, deed: Callable[[], Awaitable[T]], spoil: Callable[[], None] = noop
    ) -> T:
        if self.struck.is_set():
            await asyncio.Event().wait()
        if self._of not in {"", name}:
            return await deed()
        if self._left is None or self._left > 0:
            self._left = None if self._left is None else self._left - 1
            return await deed()
        if self._after_it:
            await deed()
            spoil()
        await asyncio.sleep(self._lingers_s)
        self.struck.set()
        await asyncio.Event().wait()
        raise AssertionError


@dataclass
class MortalCatalog(FakeCatalog):
    """A catalogue whose client may die at any of its deeds; what Rucio has stays."""

    def __init__(self, scenario: Scenario) -> None:
        owners = {experiment.scope: experiment.account for experiment in scenario.experiments.values()}
        super().__init__(scenario.rses, owners)
        self.death = Death()
        self.deeds: Counter[str] = Counter()

    async def create_dataset(self, account: str, dataset: NewDataset) -> None:
        parent = super()
        await self.death.around("create_dataset", lambda: parent.create_dataset(account, dataset))

    async def register(self, account: str, replicas: Sequence[NewReplica]) -> None:
        parent = super()
        await self.death.around("register", lambda: parent.register(account, replicas))
        self.deeds.update(str(replica.did) for replica in replicas)

    async def close_dataset(self, account: str, dataset: Did) -> None:
        parent = super()
        await self.death.around("close_dataset", lambda: parent.close_dataset(account, dataset))

    async def add_rule(self, account: str, dataset: Did, rule: Rule) -> str:
        parent = super()
        return await self.death.around("add_rule", lambda: parent.add_rule(account, dataset, rule))


class MortalStorage(FakeStorage):
    """Storages whose client may die at any put; what was put stays, and half of it may."""

    def __init__(self) -> None:
        super().__init__()
        self.death = Death()
        self.puts: Counter[str] = Counter()
        self.halves = False
        self.when_put: Callable[[], None] = lambda: None

    async def put(self, payload: Payload, url: str, *, overwrite: bool = False) -> None:
        parent = super()

        async def deed() -> None:
            await parent.put(payload, url, overwrite=overwrite)
            self.puts[url] += 1
            self.when_put()

        def halve() -> None:
            if self.halves:
                self.files[url] = Stat(payload.size_bytes // 2, "00000000")

        await self.death.around("put", deed, halve)


@dataclass
class Run:
    """One run in memory with a real journal, taken up by one process after another."""

    folder: Path
    scenario: Scenario
    storage: MortalStorage = field(default_factory=MortalStorage)
    clock: FakeClock = field(default_factory=lambda: FakeClock(BEGIN))

    def __post_init__(self) -> None:
        self.catalog = MortalCatalog(self.scenario)
        self.inventory = FakeInventory(self.catalog)
        self.path = self.folder / "journal.sqlite"
        self.started = RunStarted(RUN, "smoke", 2020, "", 1.0, 1.0, BEGIN, "0", "0", "fake", "")
        self.stop = Stop()

    async def session(self, death: Death | None = None, **engine: int) -> None:
        """Work on the run until it is done, or until death strikes; leave the journal as it lay on disk."""
        self.storage.death = self.catalog.death = death = death or Death()
        earlier = self.earlier() if self.path.exists() else None
        if earlier is None:
            journal = Journal.create(self.path, self.started, max_delay_s=0.001)
        else:
            journal = Journal.reopen(self.path, max_delay_s=0.001)
            journal.record(Resumed(self.clock.now(), earlier.last_at))
        standing = earlier.standing if earlier else Standing()
        context = await self.context(journal)
        work = asyncio.create_task(self._work(context, standing, earlier is not None, engine))
        dying = asyncio.create_task(death.struck.wait())
        await asyncio.wait({work, dying}, return_when=asyncio.FIRST_COMPLETED)
        if death.struck.is_set():
            await self._die(journal, work)
            return
        dying.cancel()
        await work
        journal.record(Note(self.clock.now(), "ended"))
        await journal.close()

    async def _work(
        self, context: Context, standing: Standing, resumed: bool, engine: dict[str, int]
    ) -> None:
        if resumed:
            with read_journal(self.path) as reader:
                await settle(context, standing, reader, self.inventory)
        options = {"uploads": 16} | engine
        await Engine(context, **options, standing=standing).run(plan(self.scenario), BEGIN, self.stop)

    async def _die(self, journal: Journal, work: asyncio.Task[None]) -> None:
        """Keep what a killed process leaves: the files of the journal as they are now."""
        kept = self.folder / "kept"
        kept.mkdir()
        for file in self.folder.glob("journal.sqlite*"):
            shutil.copy(file, kept / file.name)
        work.cancel()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)
        await journal.close()
        for file in self.folder.glob("journal.sqlite*"):
            file.unlink()
        for file in kept.iterdir():
            file.rename(self.folder / file.name)
        kept.rmdir()

    async def context(self, journal: Journal) -> Context:
        rses = {name: await self.catalog.rse("cta", name) for name in upload_rses(self.scenario)}
        accounts = {experiment.account for experiment in self.scenario.experiments.values()}
        return Context(
            run=RUN,
            date="20261122",
            scenario=self.scenario,
            catalog=self.catalog,
            storage=self.storage,
            locators={name: Locator(facts) for name, facts in rses.items() if facts is not None},
            journal=journal,
            clock=self.clock,
            registrars={account: Registrar(self.catalog, account) for account in accounts},
        )

    def earlier(self) -> Earlier:
        with read_journal(self.path) as reader:
            return read_earlier(reader)

    def events(self) -> list[Event]:
        with read_journal(self.path) as reader:
            return list(reader.events())

    def outcomes(self, step: str) -> list[Outcome]:
        return [event for event in self.events() if isinstance(event, Outcome) and event.step == step]

    def metrics(self) -> Metrics:
        return fold(self.started, planned(self.scenario), self.events())

    def registered(self) -> list[Did]:
        return [did for dataset in self.catalog.datasets.values() for did in dataset.files]

    def check_all_is_done_once(self) -> None:
        """Check lake and record against the plan, file by file."""
        uploads = [action for action in plan(self.scenario) if action.kind is Kind.UPLOAD]
        intended = {event.action: event for event in self.events() if isinstance(event, Intention)}
        assert sorted(map(str, self.registered())) == sorted(str(intended[a.id].did) for a in uploads)
        stored = {url.rsplit(RUN, 1)[1]: stat for url, stat in self.storage.files.items()}
        assert len(stored) == len(self.storage.files) == len(uploads)
        for action in uploads:
            did = intended[action.id].did
            payload = Payload(f"{self.scenario.seed}/{did}", action.size_bytes)
            assert stored[did.name.split(RUN, 1)[1]] == Stat(action.size_bytes, payload.adler32())
        assert not any(dataset.is_open for dataset in self.catalog.datasets.values())
        rules = {action.id for action in plan(self.scenario) if action.kind is Kind.RULE}
        assert len(self.catalog.rules_added) == len(rules)
        for name, found in self.metrics().experiments.items():
            assert found.files.ok == found.planned.files, name
            assert found.files.registered == found.planned.files, name
            assert found.datasets_closed == found.planned.datasets, name
            assert found.rules.added == found.planned.rules, name


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path, load_scenario(SMOKE))


SMALL = load_scenario(SMOKE, scale=0.1)
KILLS = st.lists(st.tuples(st.integers(0, 40), st.booleans(), st.booleans()), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(kills=KILLS)
def test_killed_at_any_deeds_every_file_is_there_once(kills: list[tuple[int, bool, bool]]) -> None:
    """Killed before or after any deed, again and again, all that was planned is done, and counted once."""

    async def live() -> None:
        with tempfile.TemporaryDirectory() as folder:
            run = Run(Path(folder), SMALL)
            for dies_at, after_it, halves in kills:
                run.storage.halves = halves
                await run.session(Death(dies_at, after_it))
            await run.session()
            run.check_all_is_done_once()

    asyncio.run(live())


async def test_what_is_done_is_not_done_again(run: Run) -> None:
    """A file that was recorded as registered is neither put nor registered a second time."""
    await run.session(Death(1, of="close_dataset", lingers_s=0.1))
    recorded = {
        event.action for event in run.events() if isinstance(event, Outcome) and event.step == "register"
    }
    assert len(recorded) > 20
    put_before, registered_before = run.storage.puts.copy(), run.catalog.deeds.copy()
    await run.session()
    run.check_all_is_done_once()
    assert all(run.storage.puts[url] == 1 for url in put_before)
    assert all(run.catalog.deeds[did] == 1 for did in registered_before)


async def test_a_file_that_rucio_has_is_settled_without_being_touched(run: Run) -> None:
    """Killed between a registration and its record, the run asks Rucio and takes its word."""
    await run.session(Death(1, after_it=True, of="register"))
    there = set(run.registered())
    told = Counter(event.step for event in run.events() if isinstance(event, Outcome))
    assert len(there) > told["register"]
    puts = run.storage.puts.copy()
    await run.session()
    run.check_all_is_done_once()
    settled = [event for event in run.events() if isinstance(event, Outcome) and event.reason == SETTLED]
    assert Counter(event.step for event in settled)["register"] >= len(there) - told["register"]
    assert all(run.storage.puts[url] == count for url, count in puts.items())


async def test_half_a_file_is_written_over(run: Run) -> None:
    """What a dying put left behind is not whole, and is replaced."""
    run.storage.halves = True
    await run.session(Death(20, after_it=True, of="put"))
    halves = [url for url, stat in run.storage.files.items() if stat.adler32 == "00000000"]
    assert len(halves) == 1
    await run.session()
    run.check_all_is_done_once()
    (note,) = [event.text for event in run.events() if isinstance(event, Note) and event.kind == SETTLED]
    assert "1 not whole" in note


@pytest.mark.parametrize("halves", [True, False])
async def test_a_file_that_has_no_checksum_is_written_over(run: Run, halves: bool) -> None:
    """A storage may refuse to sum what its dead writer has left open, half or whole: it is put again."""
    run.storage.halves = halves
    await run.session(Death(20, after_it=True, of="put"))
    told = {event.action for event in run.events() if isinstance(event, Outcome) and event.step == "put"}
    begun = [event for event in run.events() if isinstance(event, Intention) and event.kind is Kind.UPLOAD]
    untold = {event.did.name for event in begun if event.action not in told}
    (left,) = [url for url in run.storage.files if any(url.endswith(name) for name in untold)]
    stat = run.storage.stat

    async def refuse_sum(url: str, *, with_checksum: bool = False) -> Stat | None:
        if url == left and with_checksum and run.storage.puts[url] == 1:
            raise Refused("storage", "the file is open")
        return await stat(url, with_checksum=with_checksum)

    run.storage.stat = refuse_sum  # type: ignore[method-assign]
    await run.session()
    run.check_all_is_done_once()


async def test_a_storage_that_does_not_answer_leaves_its_files_unknown(run: Run) -> None:
    """Nothing is claimed, and nothing is done, about what cannot be looked at; the next resume settles it."""
    await run.session(Death(30, of="put"))
    with read_journal(run.path) as reader:
        standing = read_earlier(reader).standing
    intended = [event for event in run.events() if isinstance(event, Intention) and event.kind is Kind.UPLOAD]
    unsettled = [e for e in intended if standing.left(e.action, e.kind) is Left.UNSETTLED]
    assert unsettled
    run.storage.hung.update(
        f"{scheme}://{rse.lower()}" for rse in run.scenario.rses for scheme in ("root", "davs")
    )
    run.stop.because("interrupted", "only the settling is looked at")
    await run.session()
    metrics = run.metrics()
    assert sum(found.files.unknown for found in metrics.experiments.values()) >= 1
    run.storage.hung.clear()
    run.stop = Stop()
    await run.session()
    run.check_all_is_done_once()


async def test_rucio_must_answer_to_settle(run: Run) -> None:
    """Without Rucio's word nothing is done; the run can be resumed again."""
    await run.session(Death(1, of="register"))

    def gone(operation: str, subject: object) -> None:
        if operation == "files":
            raise Unclear("timeout", "no answer")

    run.catalog.weather = gone
    with pytest.raises(LakeUnusable, match="resume it again"):
        await run.session()


async def test_an_orderly_stop_is_taken_up_where_it_stopped(run: Run) -> None:
    """What was dropped because of the stop, and what was not reached, is done."""

    run.storage.when_put = lambda: run.stop.because("interrupted", "SIGTERM")
    await run.session()
    assert 0 < len(run.registered()) < planned_files(run)
    run.stop, run.storage.when_put = Stop(), lambda: None
    await run.session()
    run.check_all_is_done_once()


async def test_a_late_upload_of_a_dataset_that_is_done_is_no_hindrance(run: Run) -> None:
    """Its storage did not answer, so that its dataset was closed without it: it ends, and the run does."""
    run.storage.hung.add("root://pic-dcache")
    run.storage.hung.add("davs://pic-dcache")
    await run.session()
    assert all(not dataset.is_open for dataset in run.catalog.datasets.values())
    unknown = [event.action for event in run.outcomes("put") if event.ending is Ending.UNKNOWN]
    assert len(unknown) == 60
    run.storage.hung.clear()
    async with asyncio.timeout(20):
        await run.session()
    last = {event.action: event for event in run.outcomes("register")}
    assert {(last[action].ending, last[action].reason) for action in unknown} == {
        (Ending.FAILED, "unsupported-operation")
    }
    assert not run.earlier().standing.has_unsettled()


async def test_an_orderly_stop_while_late_work_waits_is_taken_up(run: Run) -> None:
    """Files that waited for room are not left out of datasets that are closed meanwhile."""
    await run.session(Death(10, of="put"))
    await run.clock.sleep_until(BEGIN + 3600)
    run.storage.when_put = lambda: run.stop.because("interrupted", "SIGTERM")
    await run.session(in_flight=2)
    assert 0 < len(run.registered()) < planned_files(run)
    run.stop, run.storage.when_put = Stop(), lambda: None
    async with asyncio.timeout(20):
        await run.session()
    run.check_all_is_done_once()


async def test_rules_that_were_cancelled_are_added_again(run: Run) -> None:
    """After fdr stop --now the run goes on with all that was planned, and waits for no rule that is gone."""
    run.catalog.transfers_run = False
    await run.session()
    first = set(run.catalog.rules_added)
    journal = Journal.reopen(run.path, max_delay_s=0.001)
    journal.record(Note(run.clock.now(), "interrupted", "fdr stop --now, by ann@host"))
    with read_journal(run.path) as reader:
        watch = Watch(RUN, run.scenario, run.catalog, journal, reader, run.clock)
        await cancel_open_rules(watch, FakeRuleRemoval(run.catalog), journal, run.clock)
    await journal.close()
    assert not run.catalog.rules_added
    await run.clock.sleep_until(run.clock.now() + 10)
    await run.session()
    run.check_all_is_done_once()
    assert not first & run.catalog.rules_added.keys()
    assert sum(found.rules.cancelled for found in run.metrics().experiments.values()) == 0
    assert not run.metrics().noted("cancelled")
    ledger = Ledger()
    for event in run.events():
        ledger.take(event)
    assert ledger.rules.keys() == run.catalog.rules_added.keys()


@pytest.mark.parametrize(
    ("ending", "left"),
    [(Ending.OK, Left.ALL), (Ending.UNKNOWN, Left.ALL), (Ending.FAILED, Left.NOTHING)],
)
def test_a_rule_that_may_be_gone_is_left_to_be_added(ending: Ending, left: Left) -> None:
    """One that could not be cancelled is there."""
    rule = next(action for action in plan(SMALL) if action.kind is Kind.RULE)
    standing = Standing()
    standing.take(Outcome(rule.id, "rule", 0.0, 1.0, Ending.OK, detail="r"))
    standing.take(Outcome(rule.id, "cancel", 2.0, 3.0, ending, detail="r"))
    assert standing.left(rule.id, rule.kind) is left


async def test_what_certainly_failed_is_not_tried_again(run: Run) -> None:
    """A refusal is an outcome: the run goes on with what is left, not with what went wrong."""
    run.storage.read_only.add("root://pic-dcache")
    await run.session(Death(60, of="put"))
    failed = {
        event.action for event in run.events() if isinstance(event, Outcome) and event.ending is Ending.FAILED
    }
    assert failed
    run.storage.read_only.clear()
    await run.session()
    last = {
        event.action: event for event in run.events() if isinstance(event, Outcome) and event.step == "put"
    }
    assert all(last[action].ending is Ending.FAILED for action in failed)


async def test_late_work_is_due_at_once_and_is_not_dropped(run: Run) -> None:
    """After an interruption more is late than may be in flight: it waits for room; its lateness is told."""
    await run.session(Death(10, of="put"))
    await run.clock.sleep_until(BEGIN + 3600)
    await run.session(in_flight=8)
    run.check_all_is_done_once()
    outcomes = [event for event in run.events() if isinstance(event, Outcome)]
    assert not [event for event in outcomes if event.ending is Ending.DROPPED]
    late = run.metrics().summary("upload.lateness")
    assert late.max is not None
    assert 3500 < late.max <= 3600 + run.scenario.duration_s


async def test_the_budget_counts_what_was_begun_before(run: Run) -> None:
    """Two sessions together begin no more files than the limit says."""
    run.scenario = replace(run.scenario, limits=Limits(files=50))
    await run.session()
    assert (run.stop.kind, len(run.storage.files)) == ("limit", 50)
    run.scenario, run.stop = replace(run.scenario, limits=Limits(files=70)), Stop()
    await run.session()
    assert (run.stop.kind, len(run.storage.files)) == ("limit", 70)


async def test_the_record_shows_the_interruption(run: Run) -> None:
    """The sessions, the crash between them and the time without fdr are in the numbers."""
    await run.session(Death(100, of="put"))
    died_at = run.earlier().last_at
    await run.clock.sleep_until(died_at + 1000)
    await run.session()
    first, second = run.metrics().sessions
    assert (first.begun_at, first.last_at, first.ended) == (BEGIN, died_at, False)
    assert (second.begun_at, second.ended) == (died_at + 1000, True)
    assert run.metrics().is_complete


def planned_files(run: Run) -> int:
    return sum(found.files for found in planned(run.scenario).experiments.values())


def test_how_a_session_ended_is_how_the_last_one_did() -> None:
    """Interrupted, then resumed to its end, a run is complete; its earlier notes are kept."""
    scenario = load_scenario(SMOKE)
    started = RunStarted(RUN, "smoke", 2020, "", 1.0, 1.0, BEGIN, "0", "0", "fake", "")
    events: list[Event] = [
        Resumed(BEGIN + 100, BEGIN + 11),
        Note(BEGIN + 10, "interrupted", "SIGTERM"),
        Note(BEGIN + 11, "ended"),
        Note(BEGIN + 200, "ended"),
    ]
    whole = fold(started, planned(scenario), events)
    assert whole.is_complete
    assert not whole.noted("interrupted")
    assert len(whole.notes) == 3
    assert [session.ended for session in whole.sessions] == [True, True]
    assert not fold(started, planned(scenario), events[:-1]).is_complete


async def test_what_was_used_before_is_known(tmp_path: Path) -> None:
    """Restarts and fdr's own use go on from where the last session left them."""
    run = Run(tmp_path, SMALL)
    journal = Journal.create(run.path, run.started)
    journal.record(GeneratorUsage(BEGIN + 1, 2.5, 1000, 7), ServiceSample(BEGIN + 2, "fts", 0.1, 5, 3))
    await journal.close()
    earlier = run.earlier()
    assert earlier.usage == GeneratorUsage(BEGIN + 1, 2.5, 1000, 7)
    assert earlier.restarts == {"fts": 3}
    assert earlier.last_at == BEGIN + 2
    assert not earlier.is_over


@pytest.mark.parametrize(
    ("put", "register", "left"),
    [
        (None, None, Left.UNSETTLED),
        (Ending.UNKNOWN, None, Left.UNSETTLED),
        (Ending.FAILED, None, Left.NOTHING),
        (Ending.DROPPED, None, Left.NOTHING),
        (Ending.OK, None, Left.UNSETTLED),
        (Ending.OK, Ending.UNKNOWN, Left.UNSETTLED),
        (Ending.OK, Ending.FAILED, Left.NOTHING),
        (Ending.OK, Ending.OK, Left.NOTHING),
    ],
)
def test_what_is_left_of_an_upload(put: Ending | None, register: Ending | None, left: Left) -> None:
    """Certain endings leave nothing; whatever is open is asked for first."""
    upload = next(action for action in plan(SMALL) if action.kind is Kind.UPLOAD)
    standing = Standing()
    assert standing.left(upload.id, upload.kind) is Left.ALL
    standing.take(Intention(upload.id, upload.kind, "CTA", 0, Did("s", "n"), "R", 1, 0.0))
    for step, ending in (("put", put), ("register", register)):
        if ending is not None:
            standing.take(Outcome(upload.id, step, 0.0, 1.0, ending))
    assert standing.left(upload.id, upload.kind) is left
    assert standing.has_unsettled() is (left is Left.UNSETTLED)


def test_a_refused_registration_for_want_of_its_dataset_can_be_done_yet() -> None:
    """The dataset may be made by the resumed run."""
    upload = next(action for action in plan(SMALL) if action.kind is Kind.UPLOAD)
    standing = Standing()
    standing.take(Outcome(upload.id, "put", 0.0, 1.0, Ending.OK))
    standing.take(Outcome(upload.id, "register", 0.0, 1.0, Ending.FAILED, "no-dataset"))
    assert standing.left(upload.id, upload.kind) is Left.REGISTER


def test_standing_takes_two_bytes_an_action() -> None:
    """A million files cost no more than a few megabytes."""
    standing = Standing()
    upload = next(action for action in plan(SMALL) if action.kind is Kind.UPLOAD)
    for number in range(100_000):
        standing.take(Outcome(upload.id + number, "put", 0.0, 1.0, Ending.OK))
    held = sum(len(found) for found in standing._first._groups.values())
    assert held == 100_000
