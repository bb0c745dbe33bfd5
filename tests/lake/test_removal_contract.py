"""The promises of a removal, kept by the fake of the other tests and by a real Rucio alike."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from fdr.catalog import Catalog, NewDataset, NewReplica
from fdr.connection import Connection, read_connection
from fdr.errors import Refused
from fdr.inventory import Inventory
from fdr.model import Did, Rule, When
from fdr.removal import Removal
from fdr.rucio_catalog import RucioCatalog
from fdr.rucio_inventory import RucioInventory
from fdr.rucio_removal import RucioRemoval
from tests.fakes.catalog import FakeCatalog
from tests.fakes.inventory import FakeInventory
from tests.fakes.removal import FakeRemoval
from tests.lake.smoke import smoke

ACCOUNT, SCOPE, RSE, ELSEWHERE = "cta", "cta_fdr", "PIC-DCACHE", "DESY-DCACHE"
LIFETIME_S = 3600
DAEMONS_WITHIN_S = 60
TURN_S = 0.5


@dataclass
class Subject:
    """What is tried, a prefix for names that nobody else uses, and a turn of Rucio's daemons."""

    catalog: Catalog
    inventory: Inventory
    removal: Removal
    prefix: str
    take_turn: Callable[[], Awaitable[None]]

    def did(self, name: str) -> Did:
        return Did(SCOPE, f"{self.prefix}/{name}")

    async def dataset(self, *files: str, name: str = "dataset") -> Did:
        dataset = self.did(name)
        await self.catalog.create_dataset(ACCOUNT, NewDataset(dataset, LIFETIME_S))
        replicas = [NewReplica(self.did(file), dataset, RSE, 10, "0a0b0c0d") for file in files]
        await self.catalog.register(ACCOUNT, replicas)
        return dataset

    async def rule(self, dataset: Did, to: str = RSE) -> str:
        rule = Rule(to, 1, LIFETIME_S, "Functional Test", When.DATASET_CLOSED)
        return await self.catalog.add_rule(ACCOUNT, dataset, rule)

    async def hold(self, dataset: Did, *files: str) -> None:
        dids = [self.did(file) for file in files]
        await self.removal.hold(ACCOUNT, dataset, dids, RSE, LIFETIME_S, "Functional Test")

    async def rses(self, file: str) -> frozenset[str]:
        records = await self.inventory.files(ACCOUNT, [self.did(file)])
        return records[self.did(file)].rses if records else frozenset()

    async def until(self, is_so: Callable[[], Awaitable[bool]]) -> None:
        """Let the daemons work until something is so."""
        deadline = time.monotonic() + DAEMONS_WITHIN_S
        while not await is_so():
            assert time.monotonic() < deadline, "Rucio's daemons did not do it"
            await self.take_turn()

    async def until_gone(self, *dids: Did) -> None:
        async def gone() -> bool:
            return not await self.removal.present(ACCOUNT, dids)

        await self.until(gone)


@pytest.fixture(params=["fake", pytest.param("rucio", marks=pytest.mark.lake)])
def connection(request: pytest.FixtureRequest) -> Connection | None:
    """The lake to use, None for the fake."""
    return read_connection(request.getfixturevalue("lake").client_cfg) if request.param == "rucio" else None


@pytest.fixture
async def subject(connection: Connection | None) -> AsyncIterator[Subject]:
    prefix = f"removal-{secrets.token_hex(4)}"
    scenario = smoke()
    if connection is None:
        owners = {experiment.scope: experiment.account for experiment in scenario.experiments.values()}
        fake = FakeCatalog(scenario.rses, owners)
        removal = FakeRemoval(fake)

        async def turn() -> None:
            removal.take_turn()

        yield Subject(fake, FakeInventory(fake), removal, prefix, turn)
        return
    catalog = RucioCatalog(connection)
    yield Subject(
        catalog,
        RucioInventory(catalog.door),
        RucioRemoval(catalog.door),
        prefix,
        lambda: asyncio.sleep(TURN_S),
    )
    await catalog.close()


async def refusal(deed: Awaitable[object]) -> str:
    with pytest.raises(Refused) as refused:
        await deed
    return refused.value.reason


async def test_what_rucio_knows_is_present(subject: Subject) -> None:
    """Datasets and files alike; what it does not know is left out."""
    dataset = await subject.dataset("1")
    asked = [dataset, subject.did("1"), subject.did("nothing")]
    assert await subject.removal.present(ACCOUNT, asked) == {dataset, subject.did("1")}
    assert await subject.removal.present(ACCOUNT, []) == frozenset()


async def test_rules_tell_whose_they_are_and_what_they_lock(subject: Subject) -> None:
    """The account, the RSE expression, each file with its RSE; nothing for what is not there."""
    dataset = await subject.dataset("1", "2")
    rule_id = await subject.rule(dataset)
    (rule,) = await subject.removal.rules_on(ACCOUNT, dataset)
    assert (rule.rule_id, rule.account, rule.expression) == (rule_id, ACCOUNT, RSE)
    locked = {(subject.did("1"), RSE), (subject.did("2"), RSE)}
    assert await subject.removal.locks(ACCOUNT, rule_id) == locked
    assert await subject.removal.rules_on(ACCOUNT, subject.did("nothing")) == ()
    assert await subject.removal.locks(ACCOUNT, "f" * 32) == frozenset()


async def test_a_dataset_that_expires_takes_its_rules_and_what_they_alone_kept(subject: Subject) -> None:
    """Replicas, and at last the files; another dataset's rule keeps what it locks."""
    dataset = await subject.dataset("1", "2")
    await subject.rule(dataset)
    other = subject.did("other")
    await subject.hold(other, "2")
    await subject.removal.expire(ACCOUNT, [dataset])
    await subject.until_gone(dataset, subject.did("1"))
    assert await subject.rses("2") == {RSE}
    await subject.removal.expire(ACCOUNT, [other])
    await subject.until_gone(other, subject.did("2"))


async def test_a_replica_that_no_rule_held_outlives_its_dataset(subject: Subject) -> None:
    """Until it is held: the rule of that purges it."""
    dataset = await subject.dataset("1", "2")
    await subject.hold(subject.did("held"), "2")
    await subject.removal.expire(ACCOUNT, [dataset, subject.did("held")])
    await subject.until_gone(dataset, subject.did("held"), subject.did("2"))
    await subject.take_turn()
    assert await subject.rses("1") == {RSE}
    await subject.hold(subject.did("again"), "1")
    await subject.removal.expire(ACCOUNT, [subject.did("again")])
    await subject.until_gone(subject.did("1"))


async def test_holding_moves_nothing(subject: Subject) -> None:
    """The files lie there already; a repeat, as after a broken connection, holds them once."""
    await subject.dataset("1")
    await subject.hold(subject.did("held"), "1")
    await subject.hold(subject.did("held"), "1")
    (rule,) = await subject.removal.rules_on(ACCOUNT, subject.did("held"))
    assert await subject.removal.locks(ACCOUNT, rule.rule_id) == {(subject.did("1"), RSE)}
    assert await subject.rses("1") == {RSE}


async def test_only_what_is_there_and_ones_own_expires(subject: Subject) -> None:
    """Otherwise none of it does, and the reason is told."""
    dataset = await subject.dataset("1")
    missing = subject.removal.expire(ACCOUNT, [dataset, subject.did("nothing")])
    assert await refusal(missing) == "data-identifier-not-found"
    theirs = subject.removal.expire("lsst", [dataset])
    assert await refusal(theirs) == "access-denied"
    await subject.take_turn()
    assert await subject.removal.present(ACCOUNT, [dataset]) == {dataset}


async def test_a_dataset_is_born_with_the_rule_that_keeps_its_uploads(subject: Subject) -> None:
    """It locks each file where it was put; with the dataset, all of it goes."""
    dataset = subject.did("dataset")
    born = Rule("PIC-DCACHE", 1, LIFETIME_S, "Functional Test", When.AT_CREATION)
    for _ in range(2):  # a repetition is the same dataset
        await subject.catalog.create_dataset(ACCOUNT, NewDataset(dataset, LIFETIME_S, born))
    places = {subject.did(name): "PIC-DCACHE" for name in "123"}
    replicas = [NewReplica(did, dataset, rse, 10, "0a0b0c0d") for did, rse in places.items()]
    await subject.catalog.register(ACCOUNT, replicas)
    assert await subject.catalog.rules(ACCOUNT, SCOPE, subject.prefix) == []
    (rule,) = await subject.removal.rules_on(ACCOUNT, dataset)
    assert (rule.account, rule.expression) == (ACCOUNT, born.to)

    async def is_locked() -> bool:
        return await subject.removal.locks(ACCOUNT, rule.rule_id) == set(places.items())

    await subject.until(is_locked)
    records = await subject.inventory.files(ACCOUNT, list(places))
    assert {did: record.rses for did, record in records.items()} == {
        did: frozenset({rse}) for did, rse in places.items()
    }
    assert not any(record.other_states for record in records.values())
    await subject.removal.expire(ACCOUNT, [dataset])
    await subject.until_gone(dataset, *places)
