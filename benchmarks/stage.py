"""What the benchmarks stand on: a lake of their own, runs on it, and what processes have used."""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fdr.lake import embedded
from fdr.lake.home import LakeHome
from fdr.lake.prepare import prepare_embedded
from fdr.scenario.load import load_scenario

FDR = Path(sys.executable).with_name("fdr")
RSES = ("BENCH-A", "BENCH-B", "BENCH-C")
SCENARIO = """
schema: fdr/1
name: {name}
duration: {duration}
seed: 1
grace: 2m
defaults: {{lifetime: 6h}}
rses:
  BENCH-A: {{qos: BENCH}}
  BENCH-B: {{qos: BENCH}}
  BENCH-C: {{qos: BENCH}}
experiments:
  BENCH:
    account: bench
    scope: bench
    inject:
      files: {files}
      size: 1 kB
      dataset: {{files: 250}}
      to: {{qos: BENCH}}
      arrivals: constant
    rules: [{rules}]
objectives: [upload.success >= 0%]
"""
LAKE = "FDR_BENCH_LAKE"  # names a lake to use instead of a new one, and to leave up


def one_experiment(name: str, files: int, duration: str, rules: str = "") -> str:
    """Return a scenario of files of 1 kB, at a constant rate, at any of three RSEs; ``rules`` is YAML."""
    return SCENARIO.format(name=name, files=files, duration=duration, rules=rules)


@dataclass(frozen=True)
class Stage:
    """A lake that is up, and a directory for what a benchmark makes."""

    lake: LakeHome
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment in which fdr uses this lake."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("RUCIO", "X509"))}
        return kept | {"FDR_LAKE_DIR": str(self.lake.directory), "FDR_RUNS": str(self.folder / "runs")}

    def scenario(self, name: str, text: str) -> Path:
        """Write a scenario file and prepare the lake for it."""
        path = self.folder / f"{name}.yaml"
        path.write_text(text)
        prepare_embedded(self.lake, load_scenario(path))
        return path

    def fdr(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run one fdr command to its end."""
        return subprocess.run(
            [str(FDR), *map(str, arguments)],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


@contextmanager
def stage(copy_mode: str | None = None) -> Iterator[Stage]:
    """Bring a lake up for the length of the block, or use the one that FDR_BENCH_LAKE names."""
    folder = Path(tempfile.mkdtemp(prefix="fdr-bench-", dir="/var/tmp"))
    folder.chmod(0o755)
    named = os.environ.get(LAKE)
    lake = LakeHome(Path(named) if named else folder / "lake")
    try:
        embedded.up(lake, copy_mode=None if named else copy_mode)
        yield Stage(lake, folder)
    finally:
        if not named:
            embedded.reset(lake)
        shutil.rmtree(folder)


def in_turn(contestants: dict[str, Sequence[str]], rounds: int, env: dict[str, str]) -> dict[str, list[Any]]:
    """Run commands in turn, round after round, and return what each printed: one JSON object a run."""
    told: dict[str, list[Any]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name, command in contestants.items():
            done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{name} failed:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
            told[name].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"round {number + 1}, {name}: {done.stdout.splitlines()[-1]}", file=sys.stderr, flush=True)
    return told


def median(told: Sequence[dict[str, float]], key: str) -> float:
    """Return the median of one figure over several runs."""
    return statistics.median(run[key] for run in told)


def heading() -> str:
    """Say when and on what this was measured."""
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":")[1].strip() for line in cpus if line.startswith("model name")]
    model = models[0] if models else platform.machine()
    memory_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} x {model}, {memory_gb:.0f} GB, {platform.system()}"
    )
