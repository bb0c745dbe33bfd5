"""One embedded lake, up and prepared, for all tests that need one."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fdr.lake import embedded
from fdr.lake.home import LakeHome
from fdr.lake.prepare import prepare_embedded
from tests.lake.smoke import smoke

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def lake() -> Iterator[LakeHome]:
    """A lake that is up, with the smoke scenario's RSEs and accounts; it is gone after the tests.

    FDR_TEST_LAKE_DIR names a lake to use instead, which is left up: for working on tests.
    """
    named = os.environ.get("FDR_TEST_LAKE_DIR")
    directory = Path(named) if named else Path(tempfile.mkdtemp(prefix="fdr-test-", dir="/var/tmp"))
    directory.chmod(0o755)
    home = LakeHome(directory / "lake")
    try:
        embedded.up(home)
        prepare_embedded(home, smoke())
        yield home
    finally:
        if not named:
            embedded.reset(home)
            shutil.rmtree(directory)
