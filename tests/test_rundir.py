"""Where runs are, and that only one process works on one."""

from __future__ import annotations

import errno
import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fdr.errors import UsageError
from fdr.rundir import RUN_ID, RunDir, find_run_dir, make_run_dir, new_run_id
from tests.held_elsewhere import held_elsewhere


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FDR_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def a_run(runs: Path, run: str) -> RunDir:
    directory = make_run_dir(run, None)
    directory.journal.touch()
    return directory


def test_a_run_id_tells_when_in_utc() -> None:
    """Ids sort by time and are all different."""
    at = datetime(2026, 11, 22, 20, 30, 15, tzinfo=UTC)
    ids = {new_run_id(at) for _ in range(20)}
    assert all(RUN_ID.fullmatch(run) and run.startswith("20261122T203015-") for run in ids)
    assert len(ids) > 15


def test_the_latest_run_is_found_by_default(runs: Path) -> None:
    """The id decides, not when its directory was touched."""
    for run in ("20261122T203015-aaaa", "20261123T000000-0000", "20261121T235959-ffff"):
        a_run(runs, run)
    assert find_run_dir(None).path == runs / "20261123T000000-0000"


def test_a_run_is_found_by_id_and_by_directory(runs: Path, tmp_path: Path) -> None:
    """Both ways lead to the same files."""
    made = a_run(runs, "20261122T203015-aaaa")
    assert find_run_dir("20261122T203015-aaaa") == made
    assert find_run_dir(str(made.path)) == made


def test_what_is_no_run_is_refused_with_what_to_write(runs: Path) -> None:
    """Also when there is none at all."""
    with pytest.raises(UsageError, match="holds no run yet"):
        find_run_dir(None)
    with pytest.raises(UsageError, match="there is no such run"):
        find_run_dir("20261122T203015-bbbb")


def test_a_run_is_never_written_over(runs: Path) -> None:
    """A directory with a journal is taken."""
    made = a_run(runs, "20261122T203015-aaaa")
    with pytest.raises(UsageError, match="holds a run already"):
        make_run_dir("20261122T203016-bbbb", made.path)


def test_a_run_directory_that_cannot_be_made_is_a_usage_error(tmp_path: Path) -> None:
    """A file in the way is said, not traced."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be made"):
        make_run_dir("20261122T203015-aaaa", tmp_path / "file" / "run")


def test_a_second_process_is_refused_and_a_dead_one_does_not_block(runs: Path) -> None:
    """The lock falls with the process that held it, however it ended."""
    made = a_run(runs, "20261122T203015-aaaa")
    lock = f"RunDir(Path({str(made.path)!r})).held()"
    with (
        held_elsewhere("from fdr.rundir import RunDir", lock),
        pytest.raises(UsageError, match="alive in another process"),
        made.held(),
    ):
        pass
    with made.held():
        pass


def test_a_directory_that_cannot_be_locked_is_a_usage_error(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A volume that belongs to somebody else, or whose file system has no locks, is said, not traced."""
    made = a_run(runs, "20261122T203015-aaaa")
    (made.path / "lock").mkdir()
    with pytest.raises(UsageError, match="lock: cannot be written: Is a directory"), made.held():
        pass
    (made.path / "lock").rmdir()

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(UsageError, match="lock: cannot be locked: No locks available"), made.held():
        pass
