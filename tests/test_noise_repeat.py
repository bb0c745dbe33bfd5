"""Passes are repeated on beats, do not pile up, and end orderly on a signal."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fdr.errors import ExitCode
from fdr.noise.repeat import on_beats

WITHIN_S = 30
# A pass that notes when it begins and ends, and how; it takes as long as the next number in a file says.
PASS = """\
import json, pathlib, sys, time
notes, took = pathlib.Path(sys.argv[1]), float(sys.argv[2])
def note(word):
    with notes.open("a") as file:
        file.write(json.dumps([word, time.time()]) + "\\n")
try:
    note("begun")
    time.sleep(took)
except KeyboardInterrupt:
    note("interrupted")
    sys.exit(130)
note("ended")
sys.exit(int(sys.argv[3]))
"""
REPEAT = """\
import sys
from fdr.noise.repeat import on_beats
sys.exit(on_beats([sys.executable, *sys.argv[2:]], float(sys.argv[1])))
"""


class Repeated:
    """Passes that are repeated in another process."""

    def __init__(self, tmp_path: Path, every_s: float, took_s: float, code: int = 0) -> None:
        script = tmp_path / "pass.py"
        script.write_text(PASS)
        self.notes = tmp_path / "notes"
        words = [str(script), str(self.notes), str(took_s), str(code)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", REPEAT, str(every_s), *words], stderr=subprocess.PIPE, text=True
        )

    def noted(self, word: str) -> list[float]:
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [at for what, at in map(json.loads, lines) if what == word]

    def wait_for(self, word: str, times: int) -> None:
        deadline = time.monotonic() + WITHIN_S
        while len(self.noted(word)) < times:
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def end(self, by: signal.Signals) -> str:
        self.process.send_signal(by)
        _, errors = self.process.communicate(timeout=WITHIN_S)
        assert self.process.returncode == ExitCode.INTERRUPTED
        return errors


@pytest.fixture
def repeat(tmp_path: Path) -> Iterator[Callable[..., Repeated]]:
    """Begin passes that do not outlive the test."""
    begun: list[Repeated] = []

    def begin(every_s: float, took_s: float, code: int = 0) -> Repeated:
        begun.append(Repeated(tmp_path, every_s, took_s, code))
        return begun[-1]

    yield begin
    for repeated in begun:
        repeated.process.terminate()
        repeated.process.communicate()


def test_passes_begin_on_their_beats_however_they_end(repeat: Callable[..., Repeated]) -> None:
    """A pass that failed is followed by the next, not before its time; a signal between two ends all."""
    repeated = repeat(every_s=0.5, took_s=0.01, code=5)
    repeated.wait_for("ended", 5)
    assert repeated.end(signal.SIGTERM) == ""
    begun = repeated.noted("begun")
    assert begun[4] - begun[0] >= 4 * 0.5 - 0.4  # which the first may have taken to start


def test_a_pass_that_overruns_skips_beats_and_is_not_joined_by_another(
    repeat: Callable[..., Repeated],
) -> None:
    """None begins before the last has ended, and it is said how many were skipped."""
    repeated = repeat(every_s=0.2, took_s=0.5)
    repeated.wait_for("begun", 3)
    errors = repeated.end(signal.SIGINT)
    begun, ended = repeated.noted("begun"), repeated.noted("ended")
    assert all(end < begin for end, begin in zip(ended, begun[1:], strict=False))
    assert "fdr: the pass took longer than 200ms: " in errors
    assert "beats are skipped" in errors


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_pass_that_goes_on(repeat: Callable[..., Repeated], by: signal.Signals) -> None:
    """It is told once, may end orderly, and no other is begun."""
    repeated = repeat(every_s=0.2, took_s=60)
    repeated.wait_for("begun", 1)
    assert repeated.end(by) == ""
    assert len(repeated.noted("interrupted")) == 1
    assert len(repeated.noted("begun")) == 1


def test_bad_usage_is_not_repeated() -> None:
    """The first pass tells it; later ones may fail as they like."""
    assert on_beats([sys.executable, "-c", "raise SystemExit(2)"], 60) is ExitCode.USAGE
