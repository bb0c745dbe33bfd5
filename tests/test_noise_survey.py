"""Noise finds out by itself between which RSEs it can be made, and as whom."""

from __future__ import annotations

import pytest

from fdr.errors import LakeUnusable, Unclear, UsageError
from fdr.noise.pair import Part
from fdr.noise.recipe import Recipe
from fdr.noise.survey import survey
from fdr.noise.who import chosen_scope
from tests.fakes.catalog import FakeCatalog
from tests.fakes.storage import FakeStorage
from tests.lake.smoke import smoke

RECIPE = Recipe("cta", "cta_fdr")
DESY, PIC, SARA = "DESY-DCACHE", "PIC-DCACHE", "SARA-DCACHE"
WRITE_OFF, READ_OFF = "is not available for writing", "is not available for reading"


@pytest.fixture
def catalog() -> FakeCatalog:
    return FakeCatalog(smoke().rses, {"cta_fdr": "cta", "one": "both", "other": "both"})


async def test_rses_take_the_part_that_their_availability_lets_them(catalog: FakeCatalog) -> None:
    """Off for writing is out; off for reading is a destination still; a file that cannot be put is down."""
    catalog.unreadable, catalog.unwritable = {DESY}, {PIC}
    storage = FakeStorage()
    storage.read_only = {f"root://{SARA.lower()}"}
    desy, pic, sara = await survey(RECIPE, "run", catalog, storage)
    assert desy == Part(DESY, READ_OFF)
    assert pic == Part(PIC, WRITE_OFF, WRITE_OFF)
    assert (sara.no_source, sara.no_destination) == ("", "")
    assert sara.down.startswith("permission (")
    assert storage.files == {}


async def test_an_rse_where_the_account_has_no_quota_costs_its_own_pairs_only(catalog: FakeCatalog) -> None:
    """No file is put there: Rucio would refuse its dataset, and a rule to it."""
    catalog.no_quota = {("cta", PIC)}
    parts = {part.rse: part for part in await survey(RECIPE, "run", catalog, FakeStorage())}
    assert parts[PIC] == Part(PIC, down="no-quota (account cta has no limit there)")
    assert parts[DESY] == Part(DESY)


async def test_only_rses_of_the_expression_are_looked_at(catalog: FakeCatalog) -> None:
    """An expression that matches fewer than two is bad usage, with what to write."""
    recipe = Recipe("cta", "cta_fdr", "country=DE|country=NL")
    assert [part.rse for part in await survey(recipe, "run", catalog, FakeStorage())] == [DESY, SARA]
    with pytest.raises(UsageError, match=f"'country=DE' matches only {DESY} on this lake: noise wants two"):
        await survey(Recipe("cta", "cta_fdr", "country=DE"), "run", catalog, FakeStorage())
    with pytest.raises(UsageError, match="'country=IT' matches no RSE"):
        await survey(Recipe("cta", "cta_fdr", "country=IT"), "run", catalog, FakeStorage())


async def test_a_scope_is_chosen_where_there_is_only_one(catalog: FakeCatalog) -> None:
    """Where there are several, or it is not the account's, the message says which there are."""
    assert await chosen_scope(catalog, Recipe("cta")) == "cta_fdr"
    assert await chosen_scope(catalog, Recipe("both", "other")) == "other"
    with pytest.raises(UsageError, match="--scope: name a scope of account both: it owns one, other"):
        await chosen_scope(catalog, Recipe("both"))
    with pytest.raises(UsageError, match="--scope cta_fdr: is not both's: it owns one, other"):
        await chosen_scope(catalog, Recipe("both", "cta_fdr"))
    with pytest.raises(LakeUnusable, match="does not let nobody in"):
        await chosen_scope(catalog, Recipe("nobody"))


async def test_a_rucio_that_does_not_answer_is_an_unusable_lake(catalog: FakeCatalog) -> None:
    """It is told before anything is made."""

    def weather(operation: str, subject: object) -> None:
        raise Unclear("timeout", "Rucio did not answer")

    catalog.weather = weather
    with pytest.raises(LakeUnusable, match="did not answer"):
        await survey(RECIPE, "run", catalog, FakeStorage())
