"""A run that goes on in another process, to be watched and disturbed."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fdr.journal.reader import read_journal
from fdr.lake.home import LakeHome
from fdr.model import Event, Outcome
from fdr.rundir import RunDir
from tests.lake.smoke import SMOKE
from tests.lake.smoke_run import FDR, FinishedRun, environment

BEGIN_WITHIN_S = 60
END_WITHIN_S = 150


@dataclass(frozen=True)
class BegunRun:
    """A run's process and its directory."""

    process: subprocess.Popen[str]
    directory: RunDir

    def events(self) -> list[Event]:
        """Return what its journal holds by now."""
        if not self.directory.journal.exists():
            return []
        with read_journal(self.directory.journal) as reader:
            return list(reader.events())

    def puts(self) -> int:
        """Return how many puts have ended by now, well or not."""
        return self.ended("put")

    def ended(self, step: str) -> int:
        """Return how many steps of this name have ended by now, well or not."""
        return sum(isinstance(event, Outcome) and event.step == step for event in self.events())

    def wait_until(self, holds: Callable[[], bool], within_s: float = BEGIN_WITHIN_S) -> None:
        """Wait until something holds; the run must not end before."""
        deadline = time.monotonic() + within_s
        while not holds():
            assert self.process.poll() is None, self.process.communicate()[0]
            assert time.monotonic() < deadline, f"did not come to pass in {within_s} s"
            time.sleep(0.1)

    def finish(self, within_s: float = END_WITHIN_S) -> FinishedRun:
        """Wait until the run has ended, by itself or by a signal."""
        output, _ = self.process.communicate(timeout=within_s)
        return FinishedRun(self.process.returncode, output, self.directory)


@contextmanager
def begun_run(
    lake: LakeHome, runs: Path, *options: str, name: str = "run", scenario: Path = SMOKE, **variables: str
) -> Iterator[BegunRun]:
    """Begin a run in the directory ``name`` below ``runs``; it does not outlive the block."""
    directory = RunDir(runs / name)
    process = subprocess.Popen(
        [str(FDR), "run", str(scenario), "--run-dir", str(directory.path), *options],
        env=environment(lake, runs) | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield BegunRun(process, directory)
    finally:
        process.kill()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()
