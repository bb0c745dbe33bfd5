"""A lake can use an FTS that is there already in place of a stand-in of its own."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fdr.lake import embedded
from fdr.lake.home import LakeHome
from fdr.lake.status import status
from tests.lake.smoke import SMOKE
from tests.lake.smoke_run import fdr

pytestmark = pytest.mark.lake


@pytest.fixture
def other(lake: LakeHome) -> Iterator[LakeHome]:
    """A second lake, whose FTS is the stand-in of the first."""
    directory = Path(tempfile.mkdtemp(prefix="fdr-test-", dir="/var/tmp"))
    directory.chmod(0o755)
    home = LakeHome(directory / "lake")
    try:
        embedded.up(home, fts_url=embedded.current_settings(lake).fts)
        yield home
    finally:
        embedded.reset(home)
        shutil.rmtree(directory)


def test_rules_are_kept_through_the_fts_that_was_named(
    lake: LakeHome, other: LakeHome, tmp_path: Path
) -> None:
    """No stand-in runs in the second lake, and its files are copied all the same."""
    done = fdr(
        other, tmp_path, "run", SMOKE, "--scale", "0.1", "--duration", "3s", "--run-dir", tmp_path / "run"
    )
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert "fts" not in {service.service for service in status(other)}
    assert report["transfers"]["done"] > 0, done.stdout
    assert sum(experiment["rules"]["ok"] for experiment in report["experiments"].values()) == 4
