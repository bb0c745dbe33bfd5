"""The promise of a rule removal, kept by the fake of the other tests and by a real Rucio alike."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from fdr.catalog import Catalog, NewDataset, NewReplica
from fdr.connection import Connection, read_connection
from fdr.errors import Refused
from fdr.model import Did, Rule, When
from fdr.rucio_catalog import RucioCatalog
from fdr.rucio_rule_removal import RucioRuleRemoval
from fdr.rule_removal import RuleRemoval
from tests.fakes.catalog import FakeCatalog
from tests.fakes.rule_removal import FakeRuleRemoval
from tests.lake.smoke import smoke

ACCOUNT, SCOPE, RSE = "cta", "cta_fdr", "PIC-DCACHE"
LIFETIME_S = 3600
DELETED_WITHIN_S = 60


@dataclass
class Subject:
    """What is tried, and a prefix for names that nobody else uses."""

    catalog: Catalog
    removal: RuleRemoval
    prefix: str

    async def rule(self) -> str:
        dataset, file = Did(SCOPE, f"{self.prefix}/dataset"), Did(SCOPE, f"{self.prefix}/file")
        await self.catalog.create_dataset(ACCOUNT, NewDataset(dataset, LIFETIME_S))
        await self.catalog.register(ACCOUNT, [NewReplica(file, dataset, RSE, 10, "0a0b0c0d")])
        wanted = Rule(RSE, 1, LIFETIME_S, "Functional Test", When.DATASET_CLOSED)
        return await self.catalog.add_rule(ACCOUNT, dataset, wanted)

    async def listed(self) -> set[str]:
        return {rule.rule_id for rule in await self.catalog.rules(ACCOUNT, SCOPE, self.prefix)}


@pytest.fixture(params=["fake", pytest.param("rucio", marks=pytest.mark.lake)])
def connection(request: pytest.FixtureRequest) -> Connection | None:
    """The lake to use, None for the fake."""
    return read_connection(request.getfixturevalue("lake").client_cfg) if request.param == "rucio" else None


@pytest.fixture
async def subject(connection: Connection | None) -> AsyncIterator[Subject]:
    prefix = f"contract-{secrets.token_hex(4)}"
    if connection is None:
        fake = FakeCatalog(smoke().rses, {SCOPE: ACCOUNT})
        yield Subject(fake, FakeRuleRemoval(fake), prefix)
        return
    catalog = RucioCatalog(connection)
    yield Subject(catalog, RucioRuleRemoval(catalog.door), prefix)
    await catalog.close()


async def test_a_rule_that_is_ended_is_soon_gone(subject: Subject) -> None:
    """Also for an account that Rucio lets end none; to end it again does no harm."""
    rule_id = await subject.rule()
    assert await subject.listed() == {rule_id}
    await subject.removal.delete_rule(ACCOUNT, rule_id)
    await subject.removal.delete_rule(ACCOUNT, rule_id)
    deadline = time.monotonic() + DELETED_WITHIN_S
    while await subject.listed():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.5)
    await subject.removal.delete_rule(ACCOUNT, rule_id, purge_replicas=True)


async def test_a_rule_that_nobody_knows_counts_as_gone(subject: Subject) -> None:
    """What is to be removed is not there."""
    await subject.removal.delete_rule(ACCOUNT, secrets.token_hex(16))


@pytest.mark.parametrize("connection", [pytest.param("rucio", marks=pytest.mark.lake)], indirect=True)
async def test_rucio_lets_only_administrators_end_a_rule(subject: Subject) -> None:
    """Its generic policy, which is why the account of the rucio.cfg is tried too."""
    assert isinstance(subject.catalog, RucioCatalog)
    rule_id, ending = await subject.rule(), {"lifetime": 0}
    with pytest.raises(Refused) as refused:
        await subject.catalog.door.call("cta", lambda client: client.update_replication_rule(rule_id, ending))
    assert refused.value.reason == "access-denied"
    await subject.removal.delete_rule(ACCOUNT, rule_id, purge_replicas=True)
