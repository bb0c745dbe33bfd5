"""What a lake lacks is found before anything is injected."""

from __future__ import annotations

import pytest

from fdr.errors import LakeUnusable
from fdr.preflight import check_lake
from tests.fakes.catalog import FakeCatalog
from tests.fakes.storage import FakeStorage
from tests.small_scenario import load_value, small

SCENARIO = load_value(small())


def catalog() -> FakeCatalog:
    owners = {experiment.scope: experiment.account for experiment in SCENARIO.experiments.values()}
    return FakeCatalog(SCENARIO.rses, owners)


async def test_a_lake_that_lacks_nothing_tells_where_files_go() -> None:
    """Every RSE that is uploaded to can be located, and nothing is left there."""
    storage = FakeStorage()
    locators = await check_lake(SCENARIO, "run", catalog(), storage)
    assert set(locators) == {"A-ONE", "C", "B-TWO"}
    assert storage.files == {}


async def test_an_account_needs_quota_where_its_files_are_put() -> None:
    """Rucio would refuse every dataset: the experiment, the account and the RSE are named."""
    lake = catalog()
    lake.no_quota.add(("cta", "C"))
    lake.no_quota.add(("cta", "B-TWO"))  # where another account's files are put
    with pytest.raises(LakeUnusable) as unusable:
        await check_lake(SCENARIO, "run", lake, FakeStorage())
    assert str(unusable.value) == (
        "experiments.CTA: cta has no quota at C, where its files are put: it needs an account limit there"
    )
