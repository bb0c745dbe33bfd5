"""Noise for hours: what became of its pairs, whether its memory grows, and what is left when it is over.

Usage: python -m benchmarks.noise_hours [HOURS] [AFTER] [EVERY]

`fdr noise --every EVERY` (5m) goes on for HOURS (2) between the three RSEs of scenarios/noise.yaml, and is
ended by SIGTERM after the pass that is under way then. AFTER hours (1) later, what Rucio's database and the
disks hold of it is counted.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.stage import FDR, Stage, heading, stage
from fdr.lake.embedded import current_settings
from fdr.lake.home import LakeHome
from fdr.lake.postgres import query
from fdr.lake.prepare import prepare_embedded
from fdr.lake.storages import storage_root
from fdr.scenario.load import load_scenario

NOISE = Path(__file__).parents[1] / "scenarios" / "noise.yaml"
TABLES = ("dids", "contents", "replicas", "rules", "locks", "requests")
LOOK_EVERY_S = 2.0


def main() -> None:
    """Make noise, wait, and print what was seen."""
    hours = float(sys.argv[1]) if len(sys.argv) > 1 else 2
    after = float(sys.argv[2]) if len(sys.argv) > 2 else 1
    every = sys.argv[3] if len(sys.argv) > 3 else "5m"
    with stage() as at:
        scenario = load_scenario(NOISE)
        prepare_embedded(at.lake, scenario)
        passes, peaks = make_noise(at, "|".join(scenario.rses), every, hours * 3600)
        time.sleep(after * 3600)
        left = remains(at.lake, [told["run"] for told in passes])
    print(heading())
    print("\n".join(summary(passes, peaks)))
    print(f"left {after:g} h after: " + ", ".join(f"{count} {what}" for what, count in left.items()))


def make_noise(
    at: Stage, expression: str, every: str, seconds: float
) -> tuple[list[dict[str, Any]], list[int]]:
    """Return what each pass told, and the peak memory in bytes of each of their processes, in order."""
    peaks: dict[int, int] = {}
    with (at.folder / "noise.jsonl").open("w+") as told:
        noise = subprocess.Popen(
            [FDR, "noise", "--every", every, "--json", expression],
            env=at.environment,
            stdin=subprocess.DEVNULL,
            stdout=told,
        )
        ends_at = time.monotonic() + seconds
        while noise.poll() is None:
            under_way = psutil.Process(noise.pid).children()
            if not under_way and time.monotonic() > ends_at:
                break
            for one in under_way:
                peaks[one.pid] = max(peaks.get(one.pid, 0), peak_bytes(one.pid))
            time.sleep(LOOK_EVERY_S)
        noise.terminate()
        noise.wait()
        told.seek(0)
        return [json.loads(line) for line in told], list(peaks.values())


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process has had so far, 0 where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def summary(passes: Sequence[dict[str, Any]], peaks: Sequence[int]) -> list[str]:
    """Say what became of the pairs of all passes, how long passes took, and what memory they had."""
    states = Counter[str]()
    for told in passes:
        states.update(told["counts"])
    seconds = [pair["duration_s"] for told in passes for pair in told["pairs"] if pair["state"] == "ok"]
    whole = [told["duration_s"] + told["cleaning_s"] for told in passes]
    left_by_passes = Counter[str]()
    for told in passes:
        left_by_passes.update({"passes that were not cleaned": 1} if told["left"] is None else told["left"])
    third = max(1, len(peaks) // 3)
    return [
        f"{len(passes)} passes, {states.total()} pairs: "
        + ", ".join(f"{count} {state}" for state, count in states.items() if count),
        f"seconds from a rule to OK: median {statistics.median(seconds):.1f}, most {max(seconds):.1f}",
        f"seconds of a pass, cleaning included: median {statistics.median(whole):.1f}, most {max(whole):.1f}",
        f"left at the ends of passes: {dict(left_by_passes) or 'nothing'}",
        "peak memory of a pass, median of the first and of the last third: "
        f"{statistics.median(peaks[:third]) / 1e6:.1f} and {statistics.median(peaks[-third:]) / 1e6:.1f} MB",
    ]


def remains(lake: LakeHome, runs: Sequence[str]) -> dict[str, int]:
    """Count the rows of Rucio's tables, and the files on the disks of the storages, under the runs' names."""
    named = " OR ".join(f"name LIKE '{run}/%'" for run in runs)
    counts = {
        table: int(query(lake, current_settings(lake), f"SELECT count(*) FROM {table} WHERE {named}")[0][0])
        for table in TABLES
    }
    files = [path for path in storage_root(lake).rglob("*") if path.is_file()]
    counts["files"] = sum(any(run in str(path) for run in runs) for path in files)
    return counts


if __name__ == "__main__":
    main()
