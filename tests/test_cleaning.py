"""Cleaning takes a run away, all of it and nothing else, and does not say so before it is true."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import pytest

import fdr.cleaning
from fdr.belongings import belongings
from fdr.catalog import NewDataset, NewReplica
from fdr.cleaned import Cleaned, Thing
from fdr.cleaning import Cleaning
from fdr.model import Did, Intention, Kind, Rule, When
from fdr.names import dataset_name, did_name
from fdr.pfn import Locator
from fdr.remains import Places
from fdr.storage.base import Stat
from tests.fakes.catalog import FakeCatalog
from tests.fakes.clock import FakeClock
from tests.fakes.inventory import FakeInventory
from tests.fakes.removal import FakeRemoval
from tests.fakes.storage import FakeStorage
from tests.small_scenario import load_value, small

RUN, OTHER = "20261122T203015-7f3a", "20261122T203015-7f3b"
SCENARIO = load_value(small())
CTA = SCENARIO.experiments["CTA"]
SIZE = 10
OWNERS = {"cta": "cta", "ska": "ska"}


class DaemonClock(FakeClock):
    """Rucio's daemons take a turn whenever somebody waits."""

    def __init__(self, removal: FakeRemoval) -> None:
        super().__init__()
        self.removal = removal
        self.daemons_run = True

    async def sleep_until(self, at: float) -> None:
        await super().sleep_until(at)
        if self.daemons_run:
            self.removal.take_turn()


@dataclass
class Lake:
    """A lake in memory, and what the journals of its runs intended."""

    catalog: FakeCatalog = field(
        default_factory=lambda: FakeCatalog(SCENARIO.rses, {"cta": "cta", "ska": "ska"})
    )
    storage: FakeStorage = field(default_factory=FakeStorage)
    intentions: dict[str, list[Intention]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inventory = FakeInventory(self.catalog)
        self.removal = FakeRemoval(self.catalog, self.storage)
        self.clock = DaemonClock(self.removal)

    def intend(self, run: str, kind: Kind, number: int, did: Did, rse: str = "") -> None:
        intentions = self.intentions.setdefault(run, [])
        intentions.append(Intention(len(intentions), kind, "CTA", number, did, rse, SIZE, 0.0))

    def file(self, number: int, run: str = RUN, dataset: int = 0) -> Did:
        return Did(CTA.scope, did_name(CTA, run, "20261122", dataset, number))

    def dataset(self, run: str = RUN, number: int = 0) -> Did:
        return Did(CTA.scope, dataset_name(CTA, run, number))

    def put(self, number: int, rse: str = "A-ONE", run: str = RUN, dataset: int = 0) -> Did:
        """Intend a file and put it, but do not register it."""
        did = self.file(number, run, dataset)
        self.intend(run, Kind.UPLOAD, dataset, did, rse)
        self.store(did, rse)
        return did

    def store(self, did: Did, rse: str) -> None:
        self.storage.files[self.catalog.url(rse, did)] = Stat(SIZE, "0a0b0c0d")

    def stored(self, did: Did, rse: str) -> bool:
        return self.catalog.url(rse, did) in self.storage.files

    async def register(self, did: Did, dataset: Did, rse: str = "A-ONE") -> None:
        await self.catalog.register("cta", [NewReplica(did, dataset, rse, SIZE, "0a0b0c0d")])

    async def rule(self, dataset: Did, to: str, account: str = "cta") -> str:
        rule_id = await self.catalog.add_rule(
            account, dataset, Rule(to, 1, 3600, "Functional Test", When.AT_CREATION)
        )
        for did, rse in self.catalog.locked_at(rule_id):
            self.store(did, rse)
        return rule_id

    async def rehearse(self, run: str = RUN, datasets: int = 1, files: int = 3) -> None:
        """Do and intend what a run would: datasets of files at two RSEs, each with one rule to a third."""
        for number in range(datasets):
            dataset = self.dataset(run, number)
            self.intend(run, Kind.DATASET, number, dataset)
            self.intend(run, Kind.RULE, number, dataset, "QOS=SAFE")
            await self.catalog.create_dataset("cta", NewDataset(dataset, 3600))
            for file in range(number * files, (number + 1) * files):
                rse = ("A-ONE", "C")[file % 2]
                await self.register(self.put(file, rse, run, number), dataset, rse)
            await self.rule(dataset, "QOS=SAFE")

    async def cleaning(self, run: str = RUN) -> Cleaning:
        locators = {}
        for rse in SCENARIO.rses:
            facts = await self.catalog.rse("cta", rse)
            assert facts is not None
            locators[rse] = Locator(facts)
        return Cleaning(
            run,
            SCENARIO,
            lambda: belongings(run, SCENARIO, self.intentions.get(run, [])),
            self.catalog,
            self.inventory,
            self.removal,
            self.storage,
            Places({"CTA": frozenset({"B-TWO", "C"}), "SKA": frozenset()}, locators),
            self.clock,
            lambda text: None,
        )

    async def clean(self, wait_s: float = 60, *, asked_before: bool = False) -> Cleaned:
        cleaning, done = await self.cleaning(), Cleaned()
        now = self.clock.now()
        await cleaning.ask(done, asked_before=asked_before)
        await cleaning.settle(done, now + wait_s, now)
        return done

    def everything(self) -> object:
        """Return a copy of all that is there."""
        catalog = self.catalog
        return copy.deepcopy((catalog.datasets, catalog.rules_added, catalog.left, self.storage.files))


@pytest.fixture(params=[1, 4_000], ids=["batch-by-batch", "at-once"])
def lake(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setattr(fdr.cleaning, "FILES_AT_ONCE", request.param)
    return Lake()


async def test_nothing_of_a_run_is_left(lake: Lake) -> None:
    """Datasets, rules, replicas by rules, replicas that no rule held, and all their bytes."""
    await lake.rehearse(datasets=3)
    assert len(lake.storage.files) > 9
    begun_at = lake.clock.now()
    done = await lake.clean(wait_s=3600)
    assert done.nothing_there
    assert lake.clock.now() - begun_at < 60
    assert lake.everything() == ({}, {}, {}, {})
    assert done.replicas_held
    assert done.kept == {}
    assert not done.problems


async def test_what_is_not_the_runs_stays_as_it_is(lake: Lake) -> None:
    """Another run, and a file and a dataset of the same scope: byte for byte, rule for rule."""
    await lake.rehearse(OTHER, datasets=2)
    await lake.catalog.create_dataset("cta", NewDataset(Did("cta", "precious"), 3600))
    await lake.register(Did("cta", "precious.1"), Did("cta", "precious"))
    await lake.rule(Did("cta", "precious"), "QOS=SAFE")
    lake.store(Did("cta", "precious.2"), "A-ONE")
    before = lake.everything()
    await lake.rehearse(RUN, datasets=2)
    assert (await lake.clean()).nothing_there
    assert lake.everything() == before


async def test_a_replica_that_a_rule_locks_gets_no_other_rule(lake: Lake) -> None:
    """Only those at the RSEs that they were uploaded to, and no rule chose, are held."""
    await lake.rehearse(files=4)
    locked = set().union(*(lake.catalog.locked_at(rule) for rule in lake.catalog.rules_added))
    uploads = {(one.did, one.rse) for one in lake.intentions[RUN] if one.kind is Kind.UPLOAD}
    await lake.clean()
    assert sum(count for _, count in lake.removal.held) == len(uploads - locked)


async def test_a_run_that_was_cut_off_anywhere_is_removed(lake: Lake) -> None:
    """A dataset intended and not made, a file put and not registered, one registered and nothing more."""
    await lake.rehearse()
    lake.intend(RUN, Kind.DATASET, 1, lake.dataset(number=1))
    lake.put(9, dataset=1)
    lake.intend(RUN, Kind.UPLOAD, 1, lake.file(10, dataset=1), "C")
    lake.store(Did(CTA.scope, f"{RUN}/fdr-check"), "B-TWO")
    done = await lake.clean()
    assert done.nothing_there
    assert done.dark_removed == 2
    assert lake.storage.files == {}


async def test_a_copy_that_rucio_does_not_know_is_removed_at_every_rse(lake: Lake) -> None:
    """A transfer that was cancelled may have left one."""
    await lake.rehearse()
    lake.store(lake.file(0), "B-TWO")
    assert (await lake.clean()).nothing_there
    assert lake.storage.files == {}


async def test_a_replica_of_rucio_is_never_removed_behind_its_back(lake: Lake) -> None:
    """While the reaper does nothing at an RSE its files stay there, and are counted."""
    await lake.rehearse()
    lake.removal.idle.add("A-ONE")
    done = await lake.clean()
    assert not done.nothing_there
    assert done.waiting_at == {"A-ONE": 2}
    assert done.there == {("CTA", "file"): 2, ("CTA", "replica"): 2, ("CTA", "stored"): 2}
    assert done.bytes == {"CTA": 2 * SIZE}
    assert done.dark_removed == 0
    assert lake.stored(lake.file(0), "A-ONE")


async def test_rucio_is_asked_again_right_before_a_file_is_removed(lake: Lake) -> None:
    """What it did not know a moment ago, and knows now, stays."""
    await lake.rehearse()
    lake.inventory.forgotten = {lake.file(0)}
    asked = []

    def remember_it(operation: str, subject: object) -> None:
        if operation == "files" and subject == [lake.file(0)]:
            asked.append(subject)
            lake.inventory.forgotten.clear()

    lake.catalog.weather = remember_it
    lake.removal.idle.update(SCENARIO.rses)
    done = await lake.clean(wait_s=0)
    assert asked
    assert done.dark_removed == 0
    assert lake.stored(lake.file(0), "A-ONE")


async def test_cleaning_goes_on_from_where_it_was(lake: Lake) -> None:
    """Again, when the reaper works again; and again, when nothing is left."""
    await lake.rehearse(datasets=2)
    lake.clock.daemons_run = False
    assert not (await lake.clean(wait_s=5)).nothing_there
    lake.clock.daemons_run = True
    assert (await lake.clean()).nothing_there
    again = await lake.clean()
    assert again.nothing_there
    assert (again.datasets_expired, again.replicas_held, again.dark_removed) == (0, 0, 0)


async def test_what_rucio_was_asked_for_lately_only_waits(lake: Lake) -> None:
    """A second cleaning gives no replica a rule again whose dataset is gone: the reaper would start anew."""
    await lake.rehearse()
    lake.removal.idle.update(SCENARIO.rses)
    await lake.clean(wait_s=5)
    held = list(lake.removal.held)
    assert not (await lake.clean(wait_s=5, asked_before=True)).nothing_there
    assert lake.removal.held == held
    await lake.clean(wait_s=5)
    assert lake.removal.held != held


async def test_what_an_interrupted_cleaning_made_is_removed_too(lake: Lake) -> None:
    """It was killed after it had given replicas a rule, before it let them expire."""
    await lake.rehearse()
    await lake.removal.hold(
        "cta",
        Did("cta", f"{RUN}/CTA/cleaning-1-00000-A-ONE-0"),
        [lake.file(0)],
        "A-ONE",
        3600,
        "Functional Test",
    )
    assert (await lake.clean()).nothing_there
    assert lake.everything() == ({}, {}, {}, {})


@pytest.mark.parametrize("stranger", ["file", "rule", "other account"])
async def test_a_dataset_that_others_use_is_kept(lake: Lake, stranger: str) -> None:
    """With its rules and files, and said so; the rest of the run goes."""
    await lake.rehearse(datasets=2)
    dataset = lake.dataset()
    if stranger == "file":
        await lake.register(Did("cta", "precious"), dataset)
    else:
        to, account = ("QOS=SAFE", "ska") if stranger == "other account" else ("QOS=FAST", "cta")
        await lake.rule(dataset, to, account)
    rules = {rule for rule, (_, did, _) in lake.catalog.rules_added.items() if did == dataset}
    files = {url for url in lake.storage.files if "/00001/" not in url}
    done = await lake.clean()
    assert not done.nothing_there
    assert set(done.kept) == {dataset} == lake.catalog.datasets.keys()
    assert not done.waiting_at
    assert lake.catalog.rules_added.keys() == rules
    assert lake.storage.files.keys() == files
    assert lake.removal.purged == set()


async def test_an_rse_without_quota_is_told_and_the_rest_goes(lake: Lake) -> None:
    """Its replicas that no rule held stay, for an administrator to purge."""
    await lake.rehearse()
    lake.removal.no_quota.add("A-ONE")
    done = await lake.clean()
    assert done.waiting_at == {"A-ONE": 2}
    assert done.there["CTA", "dataset"] == 0
    assert any("A-ONE" in problem and "quota" in problem for problem in done.problems)


async def test_an_rse_that_does_not_answer_is_not_clean(lake: Lake) -> None:
    """What cannot be seen is not gone; nor is every file of it waited for."""
    await lake.rehearse(files=30)
    lake.storage.hung.add("root://a-one")
    asked = []
    stat = lake.storage.stat

    async def count(url: str, *, with_checksum: bool = False) -> Stat | None:
        asked.append(url)
        return await stat(url, with_checksum=with_checksum)

    lake.storage.stat = count  # type: ignore[method-assign]
    done = await lake.clean()
    assert 0 < sum(url.startswith("root://a-one") for url in asked) < 15
    assert not done.nothing_there
    assert done.there["CTA", "unseen"] == 15
    assert set(done.unseen_at) == {"A-ONE"}


async def test_looking_first_touches_nothing(lake: Lake) -> None:
    """Everything is told that would go: rules, datasets, files, replicas, bytes."""
    await lake.rehearse(datasets=2)
    lake.put(99, dataset=1)
    before, operations, told = lake.everything(), set(), []
    lake.catalog.weather = lambda operation, subject: operations.add(operation)
    found = await (await lake.cleaning()).survey(told.append)
    assert lake.everything() == before
    assert not operations & {"hold", "expire", "add_rule", "register", "create_dataset", "close_dataset"}
    assert found.there["CTA", "rule"] == found.there["CTA", "dataset"] == 2
    assert found.there["CTA", "file"] == 6
    assert found.there["CTA", "stored"] == len(lake.storage.files) == found.there["CTA", "replica"] + 1
    assert sum(found.there.values()) == len(told)
    assert all(isinstance(thing, Thing) for thing in told)
