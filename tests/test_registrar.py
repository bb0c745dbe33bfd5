"""Files are registered in groups, and one bad file does not take the others with it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from fdr.catalog import NewDataset, NewReplica
from fdr.errors import Refused, Unclear
from fdr.model import Did
from fdr.registrar import Registrar
from tests.fakes.catalog import FakeCatalog

DATASET = Did("cta", "run/dataset")


def replicas(count: int) -> list[NewReplica]:
    return [NewReplica(Did("cta", f"run/{i}"), DATASET, "A", 10, "00000001") for i in range(count)]


@pytest.fixture
async def catalog() -> FakeCatalog:
    catalog = FakeCatalog({}, {"cta": "cta"})
    await catalog.create_dataset("cta", NewDataset(DATASET, 60))
    return catalog


async def register_all(catalog: FakeCatalog, files: Sequence[NewReplica]) -> list[BaseException | None]:
    registrar = Registrar(catalog, "cta")
    return await asyncio.gather(*(registrar.register(file) for file in files), return_exceptions=True)


async def test_files_that_arrive_together_are_registered_in_one_call(catalog: FakeCatalog) -> None:
    """A hundred files at once cost one call."""
    answers = await register_all(catalog, replicas(100))
    assert answers == [None] * 100
    assert catalog.batches == [100]
    assert len(catalog.datasets[DATASET].files) == 100


async def test_a_group_never_exceeds_what_rucio_takes(catalog: FakeCatalog) -> None:
    """2,500 files at once are three calls."""
    await register_all(catalog, replicas(2500))
    assert catalog.batches == [1000, 1000, 500]


async def test_only_the_file_at_fault_is_refused(catalog: FakeCatalog) -> None:
    """When Rucio refuses a group for one file, the others are registered all the same."""

    def refuse_seven(operation: str, subject: object) -> None:
        if operation == "register" and any(file.did.name == "run/7" for file in subject):  # type: ignore[attr-defined]
            raise Refused("file-consistency-mismatch", "run/7 differs")

    catalog.weather = refuse_seven
    answers = await register_all(catalog, replicas(20))
    assert [type(answer) for i, answer in enumerate(answers) if i == 7] == [Refused]
    assert [answer for i, answer in enumerate(answers) if i != 7] == [None] * 19
    assert len(catalog.datasets[DATASET].files) == 19


async def test_an_unclear_answer_is_unclear_for_the_whole_group(catalog: FakeCatalog) -> None:
    """A time-out settles nothing, and the group is not sent again."""
    calls = []

    def time_out(operation: str, subject: object) -> None:
        calls.append(operation)
        raise Unclear("timeout", "no answer")

    catalog.weather = time_out
    answers = await register_all(catalog, replicas(5))
    assert [type(answer) for answer in answers] == [Unclear] * 5
    assert calls == ["register"]


async def test_files_that_come_during_a_call_go_with_the_next(catalog: FakeCatalog) -> None:
    """The registrar goes on after its first group."""
    registrar = Registrar(catalog, "cta")
    first, *others = replicas(11)
    await registrar.register(first)
    await asyncio.gather(*(registrar.register(file) for file in others))
    assert catalog.batches == [1, 10]
