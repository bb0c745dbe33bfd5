"""Pacing: lateness and achieved rate of a run at a steady rate, held against the files on the disks.

Usage: python -m benchmarks.pace [FILES_PER_SECOND] [MINUTES]

A real run on an idle lake: 1 kB files at a constant rate, one rule a dataset that moves nothing. What the
report says is compared with what the file systems of the storages say: how many files there are, and when
each was made. A file cannot be made before fdr says that its put began, nor after it says that it ended.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.stage import RSES, Stage, heading, one_experiment, stage
from fdr.journal.reader import read_journal
from fdr.lake.storages import storage_root
from fdr.lake.xrootd import storage_directory
from fdr.model import Did, Ending, Intention, Kind, Outcome
from fdr.percentiles import P99, percentile

CLOCKS_S = 0.02  # a file system stamps files by a clock that ticks 250 times a second at the worst


@dataclass(frozen=True)
class Put:
    """A put as the journal has it: where, when it was due, began and ended; Unix seconds."""

    did: Did
    rse: str
    due_at: float
    begun_at: float
    ended_at: float


def puts_of(journal: Path) -> tuple[list[Put], int]:
    """Return the puts that ended well, and how many files were dropped."""
    due: dict[int, Intention] = {}
    puts, dropped = [], 0
    with read_journal(journal) as reader:
        for event in reader.events():
            if isinstance(event, Intention) and event.kind is Kind.UPLOAD:
                due[event.action] = event
            elif isinstance(event, Outcome) and event.step == "put":
                dropped += event.ending is Ending.DROPPED
                if event.ending is Ending.OK:
                    it = due[event.action]
                    puts.append(Put(it.did, it.rse, it.due_at, event.begun_at, event.ended_at))
    return puts, dropped


def written_at(at: Stage, run: str) -> dict[tuple[str, Did], float]:
    """Return when each file of a run was written, by the file systems of the storages."""
    found = {}
    for rse in RSES:
        root = storage_directory(rse, storage_root(at.lake))
        listed = subprocess.run(
            ["find", str(root), "-type", "f", "-path", f"*/{run}/*", "-printf", "%P %T@\n"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        for line in listed.splitlines():
            path, _, written = line.rpartition(" ")
            scope, _, _, name = path.split("/", 3)
            found[rse, Did(scope, name)] = float(written)
    return found


def hold_against_disks(puts: list[Put], written: dict[tuple[str, Did], float]) -> str:
    """Say how many files lie on the disks, and how many were written outside of the time of their put."""
    missing = [put for put in puts if (put.rse, put.did) not in written]
    outside = [
        put for put in puts
        if (put.rse, put.did) in written
        and not put.begun_at - CLOCKS_S <= written[put.rse, put.did] <= put.ended_at + CLOCKS_S
    ]  # fmt: skip
    return (
        f"on the disks: {len(written)} files, {len(missing)} missing;"
        f" {len(outside)} written outside of the time of their put"
    )


def main() -> None:
    """Run, and print what the report and the disks say."""
    rate = float(sys.argv[1]) if len(sys.argv) > 1 else 12
    minutes = float(sys.argv[2]) if len(sys.argv) > 2 else 10
    files = round(rate * minutes * 60)
    with stage() as at:
        path = at.scenario("pace", one_experiment("pace", files, f"{minutes}m"))
        run_dir = at.folder / "run"
        done = at.fdr("run", path, "--run-dir", run_dir)
        if not (run_dir / "report.json").exists():
            sys.exit(done.stdout + done.stderr)
        report = json.loads((run_dir / "report.json").read_text())
        puts, dropped = puts_of(run_dir / "journal.sqlite")
        written = written_at(at, report["run"]["id"])
    begun = sorted(put.begun_at for put in puts)
    achieved = (len(begun) - 1) / (begun[-1] - begun[0])
    late = sorted(put.begun_at - put.due_at for put in puts)
    late_on_disk = sorted(
        written[put.rse, put.did] - put.due_at for put in puts if (put.rse, put.did) in written
    )
    p99, p99_on_disk = percentile(late, P99), percentile(late_on_disk, P99)
    print(heading())
    print(f"offered {rate:g}/s for {minutes:g} min: {files} files; {len(puts)} put, {dropped} dropped")
    print(
        f"achieved {achieved:.3f}/s from the first put to the last, {achieved / rate:.4f} of what was offered"
    )
    print(f"lateness p99 {(p99 or 0) * 1000:.1f} ms, max {late[-1] * 1000:.1f} ms by the journal")
    print(f"files written p99 {(p99_on_disk or 0) * 1000:.1f} ms after they were due, by the disks")
    print(hold_against_disks(puts, written))
    told = report["generator"]
    print(
        f"fdr: {told['cpu_seconds']:.1f} s CPU, {told['memory_peak'] / 1e6:.0f} MB,"
        f" {told['requests']} requests"
    )


if __name__ == "__main__":
    main()
