"""Run fdr's command line on the tests' lake, as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdr.lake.home import LakeHome
from fdr.rundir import RunDir
from tests.lake.smoke import SMOKE

FDR = Path(sys.executable).with_name("fdr")
RUN_TIMEOUT_S = 240


@dataclass(frozen=True)
class FinishedRun:
    """A run that is over: how fdr ended, what it said, and where the run lies."""

    code: int
    output: str
    directory: RunDir

    @property
    def report(self) -> dict[str, Any]:
        return json.loads(self.directory.json.read_text())


def environment(lake: LakeHome, runs: Path) -> dict[str, str]:
    """Return what makes fdr use this lake and keep its runs there."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("RUCIO", "X509", "FDR"))}
    return kept | {"FDR_LAKE_DIR": str(lake.directory), "FDR_RUNS": str(runs), "COLUMNS": "100"}


def fdr(lake: LakeHome, runs: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run one fdr command to its end; standard error goes where standard output does."""
    return subprocess.run(
        [str(FDR), *map(str, arguments)],
        env=environment(lake, runs),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )


def run_smoke(lake: LakeHome, runs: Path, *options: str) -> FinishedRun:
    """Run the smoke scenario."""
    directory = RunDir(runs / "smoke")
    done = fdr(lake, runs, "run", SMOKE, "--run-dir", directory.path, *options)
    return FinishedRun(done.returncode, done.stdout, directory)
