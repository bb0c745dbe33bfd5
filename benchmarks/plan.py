"""Planning: the 2020 rehearsal to its digest, a shard of it, the table of `fdr plan`, and the cost a file.

Usage: python -m benchmarks.plan [LARGEST] [SHARE]

The cost a file is measured for a thousand files and ten times as many each time, to LARGEST (10,000,000). A
SHARE of the 2020 rehearsal takes its place where that is enough.
Each figure is that of a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.stage import FDR, heading
from fdr.model import Scenario
from fdr.plan import digest, plan
from fdr.scenario.load import load_scenario

ESCAPE = Path(__file__).parents[1] / "scenarios" / "escape-fdr-2020.yaml"
FILES = 821_850
SHARDS = 14


def to_digest(scenario: Scenario) -> int:
    """Plan all of it."""
    digest(scenario)
    return sum(experiment.inject.files for experiment in scenario.experiments.values())


def a_shard(scenario: Scenario) -> int:
    """Make the actions of one shard of SHARDS, and return how many there are."""
    return sum(1 for _ in plan(scenario, (3, SHARDS)))


def all_shards(scenario: Scenario) -> int:
    """Make the actions of the whole plan, and return how many there are."""
    return sum(1 for _ in plan(scenario))


WORK: dict[str, Callable[[Scenario], int]] = {"digest": to_digest, "shard": a_shard, "actions": all_shards}


def measured(work: str, scale: float) -> dict[str, float]:
    """Do some work in a process of its own; return its count, CPU seconds and peak memory in MB."""
    command = [sys.executable, "-m", "benchmarks.plan", "--work", work, str(scale)]
    told: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return told


def main() -> None:
    """Measure and print; or be the process that is measured."""
    if "--work" in sys.argv:
        scenario = load_scenario(ESCAPE, scale=float(sys.argv[3]))
        begun = time.process_time()
        count = WORK[sys.argv[2]](scenario)
        memory_mb = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1000
        print(json.dumps({"count": count, "cpu_s": time.process_time() - begun, "memory_mb": memory_mb}))
        return
    print(heading())
    share = float(sys.argv[2]) if len(sys.argv) > 2 else 1
    whole = measured("digest", share)
    print(
        f"2020 rehearsal, {whole['count']:.0f} files, to its digest:"
        f" {whole['cpu_s']:.1f} s, {whole['memory_mb']:.0f} MB"
    )
    begun = time.monotonic()
    subprocess.run([FDR, "plan", str(ESCAPE), f"--scale={share}"], capture_output=True, check=True)
    print(f"fdr plan, with its table: {time.monotonic() - begun:.1f} s")
    actions, shard = measured("actions", share), measured("shard", share)
    print(
        f"one shard of {SHARDS}: {shard['count'] / actions['count']:.3f} of the actions,"
        f" {shard['cpu_s'] / actions['cpu_s']:.3f} of the CPU"
        f" ({shard['cpu_s']:.2f} of {actions['cpu_s']:.2f} s)"
    )
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    files = 1000
    while files <= largest:
        told = measured("digest", files / FILES)
        print(
            f"{told['count']:10.0f} files: {told['cpu_s'] / told['count'] * 1e6:.2f} us CPU a file,"
            f" {told['memory_mb']:.0f} MB"
        )
        files *= 10


if __name__ == "__main__":
    main()
