"""A command is not carried out twice at once on a directory of runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fdr.alone import alone
from fdr.errors import Busy, ExitCode, UsageError


def test_a_second_one_is_told_who_is_there(tmp_path: Path) -> None:
    """The lock has an exit code of its own, says since when, and falls with the process however it ends."""
    program = (
        "import os, sys; from pathlib import Path; from fdr.alone import alone\n"
        f"with alone(Path({str(tmp_path)!r}), 'noise'):\n"
        "    print('held', flush=True); sys.stdin.read(1); os.kill(os.getpid(), 9)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        told = rf"under way in .*process {holder.pid}, since 20"
        with pytest.raises(Busy, match=told) as busy, alone(tmp_path, "noise"):
            pass
        assert busy.value.exit_code is ExitCode.BUSY == 6
        holder.stdin.write(b"x")
        holder.stdin.flush()
        holder.wait(10)
    with alone(tmp_path, "noise"):
        assert holder.returncode == -9
    with alone(tmp_path, "noise"), alone(tmp_path, "probe"):  # other commands do not wait for it
        pass


def test_a_directory_that_cannot_hold_the_lock_is_told(tmp_path: Path) -> None:
    """A file in the way is said, not traced."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"), alone(tmp_path / "file" / "runs", "noise"):
        pass
