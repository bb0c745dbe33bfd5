"""The promises of a catalogue and its inventory, kept by the fakes of other tests and a real Rucio alike."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import pytest

from fdr.catalog import Catalog, NewDataset, NewReplica
from fdr.connection import Connection, read_connection
from fdr.errors import Refused, Unclear
from fdr.inventory import FileRecord, Inventory
from fdr.model import Did, Rule, When
from fdr.pfn import Locator
from fdr.rucio_catalog import RucioCatalog
from fdr.rucio_inventory import RucioInventory
from tests.fakes.catalog import FakeCatalog
from tests.fakes.inventory import FakeInventory
from tests.lake.smoke import smoke

ACCOUNT, SCOPE, RSE = "cta", "cta_fdr", "PIC-DCACHE"
LIFETIME_S = 3600

T = TypeVar("T")


@dataclass
class Subject:
    """A catalogue to try, and a prefix for names that nobody else uses."""

    catalog: Catalog
    inventory: Inventory
    prefix: str

    def did(self, name: str) -> Did:
        return Did(SCOPE, f"{self.prefix}/{name}")

    def replica(self, name: str, dataset: Did) -> NewReplica:
        return NewReplica(self.did(name), dataset, RSE, 10, "0a0b0c0d")

    async def dataset(self, *files: str) -> Did:
        dataset = self.did("dataset")
        await self.catalog.create_dataset(ACCOUNT, NewDataset(dataset, LIFETIME_S))
        if files:
            await self.catalog.register(ACCOUNT, [self.replica(name, dataset) for name in files])
        return dataset


@pytest.fixture(params=["fake", pytest.param("rucio", marks=pytest.mark.lake)])
def connection(request: pytest.FixtureRequest) -> Connection | None:
    """The lake to use, None for the fake."""
    return read_connection(request.getfixturevalue("lake").client_cfg) if request.param == "rucio" else None


@pytest.fixture
async def subject(connection: Connection | None) -> AsyncIterator[Subject]:
    scenario = smoke()
    owners = {experiment.scope: experiment.account for experiment in scenario.experiments.values()}
    catalog: RucioCatalog | FakeCatalog
    inventory: Inventory
    if connection:
        catalog = RucioCatalog(connection)
        inventory = RucioInventory(catalog.door)
    else:
        catalog = FakeCatalog(scenario.rses, owners)
        inventory = FakeInventory(catalog)
    yield Subject(catalog, inventory, f"contract-{secrets.token_hex(4)}")
    await catalog.close()


def rule(to: str = RSE, copies: int = 1) -> Rule:
    return Rule(to, copies, LIFETIME_S, "Functional Test", When.DATASET_CLOSED)


async def refusal(deed: object) -> str:
    with pytest.raises(Refused) as refused:
        await deed  # type: ignore[misc]
    return refused.value.reason


async def test_an_account_without_credentials_is_not_let_in(subject: Subject) -> None:
    """The reason can be told from every other."""
    await subject.catalog.log_in(ACCOUNT)
    assert await refusal(subject.catalog.log_in("nobody")) == "unauthenticated"


async def test_scopes_have_owners(subject: Subject) -> None:
    """An account's own scopes are among all scopes."""
    own = await subject.catalog.scopes_of(ACCOUNT)
    assert SCOPE in own
    assert not own & {"lsst_fdr", "ska_fdr"}
    assert {SCOPE, "lsst_fdr", "ska_fdr"} <= await subject.catalog.all_scopes(ACCOUNT)


async def test_an_rse_says_how_it_is_written_to(subject: Subject) -> None:
    """The first protocol of the scenario is the first offered; what is not there is None."""
    facts = await subject.catalog.rse(ACCOUNT, RSE)
    assert facts is not None
    assert (facts.deterministic, facts.writable, facts.readable) == (True, True, True)
    assert [prefix.split(":")[0] for prefix in facts.prefixes] == ["root", "davs"]
    assert all(prefix.endswith("/") for prefix in facts.prefixes)
    assert await subject.catalog.rse(ACCOUNT, "NOT-THERE") is None


@pytest.mark.parametrize(
    ("expression", "matches"),
    [("QOS=FAST", {RSE}), ("country=DE|country=NL", {"DESY-DCACHE", "SARA-DCACHE"}), ("QOS=NONE", set())],
)
async def test_rse_expressions_match(subject: Subject, expression: str, matches: set[str]) -> None:
    """No match is an empty set, not an error."""
    assert await subject.catalog.matching_rses(ACCOUNT, expression) == matches


async def test_making_a_dataset_twice_is_making_it_once(subject: Subject) -> None:
    """Names are the run's own, so what is there is what was wanted."""
    await subject.dataset("1")
    dataset = await subject.dataset()
    await subject.catalog.add_rule(ACCOUNT, dataset, rule())
    (state,) = await subject.catalog.rules(ACCOUNT, SCOPE, subject.prefix)
    assert state.locks_ok == 1


async def test_metadata_come_with_what_is_made(subject: Subject) -> None:
    """Datasets and files get them in the call that makes them; making them again changes nothing."""
    metadata = {"project": "fdr", "campaign": "noise"}
    dataset = subject.did("dataset")
    replica = replace(subject.replica("1", dataset), metadata=metadata)
    for _ in range(2):
        await subject.catalog.create_dataset(ACCOUNT, NewDataset(dataset, LIFETIME_S, metadata=metadata))
        await subject.catalog.register(ACCOUNT, [replica])
    if isinstance(subject.catalog, FakeCatalog):
        held = subject.catalog.datasets[dataset]
        assert held.metadata == held.files[replica.did].metadata == metadata
        return
    for did in (dataset, replica.did):
        told = await subject.catalog.door.call(  # type: ignore[attr-defined]
            ACCOUNT, lambda client, did=did: client.get_metadata(did.scope, did.name)
        )
        assert {key: told[key] for key in metadata} == metadata


async def test_nobody_writes_in_the_scope_of_another(subject: Subject) -> None:
    """Rucio's permissions hold, and the reason says so."""
    theirs = NewDataset(Did("lsst_fdr", f"{subject.prefix}/dataset"), LIFETIME_S)
    assert await refusal(subject.catalog.create_dataset(ACCOUNT, theirs)) == "access-denied"


async def test_registering_twice_is_registering_once(subject: Subject) -> None:
    """A repeat, as after a broken connection, adds nothing."""
    dataset = await subject.dataset("1", "2", "3")
    await subject.dataset("1", "2", "3")
    await subject.catalog.add_rule(ACCOUNT, dataset, rule())
    (state,) = await subject.catalog.rules(ACCOUNT, SCOPE, subject.prefix)
    assert (state.state, state.locks_ok) == ("OK", 3)


async def test_a_group_is_registered_whole_or_not_at_all(subject: Subject) -> None:
    """One file for a dataset that is not there refuses the group."""
    dataset = await subject.dataset()
    group = [subject.replica("1", dataset), subject.replica("2", subject.did("no-dataset"))]
    assert await refusal(subject.catalog.register(ACCOUNT, group)) == "data-identifier-not-found"
    await subject.catalog.add_rule(ACCOUNT, dataset, rule())
    (state,) = await subject.catalog.rules(ACCOUNT, SCOPE, subject.prefix)
    assert state.locks_ok + state.locks_replicating == 0


async def test_a_closed_dataset_takes_no_more_and_may_be_closed_again(subject: Subject) -> None:
    """Closing is for good."""
    dataset = await subject.dataset("1")
    await subject.catalog.close_dataset(ACCOUNT, dataset)
    await subject.catalog.close_dataset(ACCOUNT, dataset)
    late = subject.catalog.register(ACCOUNT, [subject.replica("2", dataset)])
    assert await refusal(late) == "unsupported-operation"
    missing = subject.catalog.close_dataset(ACCOUNT, subject.did("no-dataset"))
    assert await refusal(missing) == "data-identifier-not-found"


async def in_the_end(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again where Rucio's judge, at work on the same dataset, met the call in the database."""
    for _ in range(5):
        try:
            return await ask()
        except Unclear as error:
            if error.reason != "database":
                raise
    return await ask()


async def test_the_same_rule_again_is_the_same_rule(subject: Subject) -> None:
    """Its id comes back; another number of copies is another rule."""
    dataset = await subject.dataset("1")
    first = await subject.catalog.add_rule(ACCOUNT, dataset, rule())
    assert await subject.catalog.add_rule(ACCOUNT, dataset, rule()) == first
    other = rule("PIC-DCACHE|DESY-DCACHE", 2)
    assert await in_the_end(lambda: subject.catalog.add_rule(ACCOUNT, dataset, other)) != first
    assert len(await subject.catalog.rules(ACCOUNT, SCOPE, subject.prefix)) == 2
    assert await subject.catalog.rules(ACCOUNT, SCOPE, "no-such-prefix") == []


async def test_rules_that_rucio_cannot_keep_are_refused(subject: Subject) -> None:
    """An expression without RSEs, a dataset that is not there."""
    dataset = await subject.dataset("1")
    nowhere = subject.catalog.add_rule(ACCOUNT, dataset, rule("QOS=NONE"))
    assert await refusal(nowhere) == "invalid-rse-expression"
    nothing = subject.catalog.add_rule(ACCOUNT, subject.did("no-dataset"), rule())
    assert await refusal(nothing) == "data-identifier-not-found"


async def test_a_rule_tells_where_it_locks_a_dataset(subject: Subject) -> None:
    """Locks name the rule and the RSE."""
    dataset = await subject.dataset("1")
    rule_id = await subject.catalog.add_rule(ACCOUNT, dataset, rule())
    locks = await subject.catalog.dataset_locks(ACCOUNT, [dataset, subject.did("no-dataset")])
    assert locks == {dataset: frozenset({(rule_id, RSE)})}
    assert await subject.catalog.rule_rses(ACCOUNT, rule_id) == {RSE}


async def test_requests_are_counted(subject: Subject) -> None:
    """Every call is at least one request."""
    before = subject.catalog.requests
    await subject.dataset("1")
    assert subject.catalog.requests >= before + 2


async def test_files_are_told_with_their_size_checksum_and_replicas(subject: Subject) -> None:
    """What was registered comes back, with where Rucio would read it; what is unknown is left out."""
    await subject.dataset("1", "2")
    asked = [subject.did(name) for name in ("1", "2", "3")]
    found = await subject.inventory.files(ACCOUNT, asked)
    assert found.keys() == {asked[0], asked[1]}
    facts = await subject.catalog.rse(ACCOUNT, RSE)
    assert facts is not None
    url = Locator(facts).url(asked[0])
    assert found[asked[0]] == FileRecord(asked[0], 10, "0a0b0c0d", frozenset({RSE}), {}, {RSE: url})
    assert await subject.inventory.files(ACCOUNT, []) == {}


async def test_a_replica_on_its_way_is_not_available(subject: Subject) -> None:
    """A rule's replica is told with its state until its bytes have arrived."""
    if isinstance(subject.catalog, FakeCatalog):
        subject.catalog.transfers_run = False
    dataset = await subject.dataset("1")
    await subject.catalog.add_rule(ACCOUNT, dataset, rule("DESY-DCACHE"))
    found = await subject.inventory.files(ACCOUNT, [subject.did("1")])
    record = found[subject.did("1")]
    assert record.rses == {RSE}
    assert record.other_states == {"DESY-DCACHE": "COPYING"}


async def test_datasets_are_found_by_the_beginning_of_their_names(subject: Subject) -> None:
    """An underscore stands for itself, files are not datasets, and other scopes are not looked at."""
    dataset = await subject.dataset("1")
    odd = subject.did("data_set")
    await subject.catalog.create_dataset(ACCOUNT, NewDataset(odd, LIFETIME_S))
    inventory = subject.inventory
    assert await inventory.datasets(ACCOUNT, SCOPE, subject.prefix) == {dataset, odd}
    assert await inventory.datasets(ACCOUNT, SCOPE, f"{subject.prefix}/data_") == {odd}
    assert await inventory.datasets(ACCOUNT, "lsst_fdr", subject.prefix) == frozenset()


async def test_the_contents_of_datasets_are_told_together(subject: Subject) -> None:
    """Also those of an empty dataset and of one that is not there: none."""
    dataset = await subject.dataset("1", "2")
    empty, missing = subject.did("empty"), subject.did("missing")
    await subject.catalog.create_dataset(ACCOUNT, NewDataset(empty, LIFETIME_S))
    found = await subject.inventory.contents(ACCOUNT, [dataset, empty, missing])
    files = frozenset({subject.did("1"), subject.did("2")})
    assert found == {dataset: files, empty: frozenset(), missing: frozenset()}
