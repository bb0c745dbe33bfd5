"""The command line ends as its table of exit codes says, and speaks to the person who typed it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCENARIOS = Path(__file__).parents[1] / "scenarios"


def fdr(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "fdr", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--bogus", "x.yaml"), "--bogus"),
        (("bogus",), "bogus"),
        (("plan",), "SCENARIO"),
        (("plan", "--speed", "fast", "x.yaml"), "--speed"),
        (("lake", "reset", "--bogus"), "--bogus"),
    ],
)
def test_bad_usage_is_exit_2_and_told(arguments: tuple[str, ...], said: str) -> None:
    """A wrong command, option or value is the user's to mend, not a defect."""
    ended = fdr(*arguments)
    assert ended.returncode == 2, ended.stderr
    assert said in ended.stderr
    assert "defect" not in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_fdr_refuses_is_one_sentence_and_its_exit_code(tmp_path: Path) -> None:
    """An error of fdr's own is told after its name, with the exit code of its kind."""
    ended = fdr("report", str(tmp_path))
    assert ended.returncode == 2
    assert ended.stderr.startswith("fdr: ")
    assert ended.stdout == ""


def test_help_and_success_are_exit_0() -> None:
    """Help shows the exit codes; a command that did its work ends with 0."""
    told = fdr("--help")
    assert told.returncode == 0
    assert "130 interrupted" in " ".join(told.stdout.split())
    assert fdr("validate", str(SCENARIOS / "smoke.yaml")).returncode == 0


def test_ctrl_c_is_exit_130() -> None:
    """Interrupted in a long computation, it ends at once, without a traceback."""
    command = [sys.executable, "-m", "fdr", "plan", str(SCENARIOS / "escape-fdr-2020.yaml"), "--scale", "20"]
    # a shell lets what it starts in the background ignore SIGINT, and all that this starts
    process = subprocess.Popen(["env", "--default-signal=INT", *command], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while used_cpu_s(process.pid) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors


def used_cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has used, of proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
