"""A rehearsal on a real lake survives being killed; ``make crash-test`` kills many more."""

from __future__ import annotations

import pytest

from fdr.journal.reader import read_journal
from fdr.lake.home import LakeHome
from fdr.lake.storages import storage_root
from fdr.lake.xrootd import storage_directory
from fdr.rundir import RunDir
from tests.lake import crash

pytestmark = pytest.mark.lake


@pytest.fixture(scope="module")
def survivor(lake: LakeHome, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, RunDir]:
    """A run that was killed while it injected and while it was resumed; how often, and its directory."""
    runs = tmp_path_factory.mktemp("runs")
    kills, directory = crash.kill_and_resume(lake, runs, (3.0, 4.0))
    return kills, directory


def test_a_run_that_is_killed_twice_loses_and_doubles_nothing(
    lake: LakeHome, survivor: tuple[int, RunDir]
) -> None:
    """Every planned file is there once, with its checksum, and the report says so."""
    kills, directory = survivor
    assert kills == 2
    assert crash.damage(lake, directory) == crash.Damage((), ())


def test_the_crash_test_sees_what_is_lost_and_what_is_doubled(
    lake: LakeHome, survivor: tuple[int, RunDir]
) -> None:
    """A file that goes from a disk, and one that nobody planned, are found."""
    _, directory = survivor
    with read_journal(directory.journal) as reader:
        run = reader.started.run
    root = storage_directory("PIC-DCACHE", storage_root(lake))
    one, other = sorted(
        path for path in root.rglob("*.fits") if run in path.parts and "cta_fdr" in path.parts
    )[:2]
    one.unlink()
    other.with_name("unplanned").write_bytes(b"x")
    try:
        harm = crash.damage(lake, directory)
    finally:
        other.with_name("unplanned").unlink()
    assert len(harm.lost) == 1
    assert "the disk has None" in harm.lost[0]
    assert len(harm.doubled) == 1
