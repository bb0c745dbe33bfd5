"""Every benchmark runs, in its smallest form; what it measures is not judged here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fdr.lake.home import LakeHome

pytestmark = pytest.mark.lake
ROOT = Path(__file__).parents[2]
SMALLEST = {
    "clean": (("50",), "50 files"),
    "injection": (("30", "1"), r"fdr / UploadClient: +\d"),
    "journal": (("2000",), r"report: [\d.]+ s"),
    "large_files": (("20", "1"), r"fdr / xrdcp: \d"),
    "noise_hours": (("0.005", "0", "20s"), "left 0 h after: 0 dids, .*, 0 files"),
    "pace": (("5", "0.1"), "0 missing; 0 written outside"),
    "plan": (("1000", "0.01"), "1002 files: "),
    "profile": (("200",), r"ms  fdr/\S+\.py \S+"),
    "run_memory": (("200",), "ms of CPU a file"),
    "watch": (("3", "30", "6"), "2000 in the journal, 0 lost"),
    # little: tests after it on the same lake wait for its copies
    "escape_hour": (("0.02", "kept", "10s"), "of a core"),
}


def test_every_script_is_tried_here() -> None:
    """One that is new is to be named above."""
    scripts = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - {"stage", "__init__"}
    assert scripts == SMALLEST.keys()


@pytest.mark.parametrize("name", SMALLEST)
def test_a_benchmark_runs(name: str, lake: LakeHome, tmp_path: Path) -> None:
    """It ends well, and prints what it is for."""
    arguments, said = SMALLEST[name]
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *arguments],
        cwd=tmp_path,
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT),
            "FDR_BENCH_LAKE": str(lake.directory),
            "FDR_LAKE_DIR": str(lake.directory),
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(said, done.stdout), done.stdout
