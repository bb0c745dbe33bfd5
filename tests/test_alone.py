"""A command is not carried out twice at once on a directory of runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from fdr.alone import alone
from fdr.errors import Busy, ExitCode, UsageError
from tests.held_elsewhere import held_elsewhere


def test_a_second_one_is_told_who_is_there(tmp_path: Path) -> None:
    """The lock has an exit code of its own, says since when, and falls with the process however it ends."""
    lock = f"alone(Path({str(tmp_path)!r}), 'noise')"
    with held_elsewhere("from fdr.alone import alone", lock) as pid:
        told = rf"under way in .*process {pid}, since 20"
        with pytest.raises(Busy, match=told) as busy, alone(tmp_path, "noise"):
            pass
        assert busy.value.exit_code is ExitCode.BUSY == 6
    with alone(tmp_path, "noise"), alone(tmp_path, "probe"):  # other commands do not wait for it
        pass


def test_a_directory_that_cannot_hold_the_lock_is_told(tmp_path: Path) -> None:
    """A file in the way is said, not traced."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"), alone(tmp_path / "file" / "runs", "noise"):
        pass
