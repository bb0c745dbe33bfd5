"""What a journal and its report cost: CPU, bytes and memory per file.

Usage: python -m benchmarks.journal [FILES]
"""

from __future__ import annotations

import asyncio
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fdr.journal.reader import read_journal
from fdr.journal.writer import Journal
from fdr.metrics import Planned, PlannedExperiment
from fdr.model import (
    Did,
    Ending,
    Intention,
    Kind,
    Outcome,
    RuleSeen,
    RunStarted,
    TransferSeen,
)
from fdr.report.make import make_report, to_html

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fdr.model import Event

RSES = [f"SITE{number}-DCACHE" for number in range(14)]
FILES_PER_DATASET = 500
TOGETHER = 16  # files whose intentions wait for one commit
STARTED = RunStarted("bench", "bench", 1, "0" * 64, 1, 1, 1.6e9, "0", "0", "none", "")


def files(count: int) -> Iterator[tuple[Intention, list[Event]]]:
    """Yield every file: its intention, and what happens to it afterwards."""
    draw = random.Random(1)
    for number in range(count):
        due = 1.6e9 + number * 0.0864
        did = Did("cta_fdr", f"CTA/20201119/bench/run{number // FILES_PER_DATASET:05d}/{number:06d}.fits")
        source, target = draw.sample(RSES, 2)
        dataset = number // FILES_PER_DATASET
        size = draw.randrange(1 << 24)
        intention = Intention(number, Kind.UPLOAD, "CTA", dataset, did, source, size, due)
        ended = due + draw.random()
        later: list[Event] = [
            Outcome(number, "put", due, ended, Ending.OK, detail=f"{draw.getrandbits(32):08x}"),
            Outcome(number, "register", ended, ended + draw.random(), Ending.OK),
            TransferSeen(ended + 60, True, f"{draw.getrandbits(128):032x}", did, source, target, size,
                         "Functional Test", "root", ended + 2, ended + 20, ended + 30, ended + 50),
        ]  # fmt: skip
        if number % FILES_PER_DATASET == 0:
            rule = f"{draw.getrandbits(128):032x}"
            action = count + number
            later.append(Outcome(action, "rule", ended, ended + 1, Ending.OK, detail=rule))
            later.extend(
                RuleSeen(ended + 10 * step, rule, "REPLICATING", step, 10 - step, 0) for step in range(10)
            )
        yield intention, later


async def write(path: Path, count: int) -> None:
    """Write the files as an engine would: so many intentions at once, outcomes as they come."""
    journal = Journal.create(path, STARTED)
    group: list[tuple[Intention, list[Event]]] = []
    for file in files(count):
        group.append(file)
        if len(group) == TOGETHER:
            await journal.intend([intention for intention, _ in group])
            for _, later in group:
                for event in later:
                    journal.record(event)
            group.clear()
    await journal.close()


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        path = Path(folder) / "journal.sqlite"
        begun, used = time.perf_counter(), time.process_time()
        for _ in files(count):
            pass
        making = time.process_time() - used
        begun, used = time.perf_counter(), time.process_time()
        asyncio.run(write(path, count))
        took, used = time.perf_counter() - begun, time.process_time() - used
        print(
            f"{count} files, each 1 intention, 2 outcomes, 1 transfer; a rule per {FILES_PER_DATASET} files"
        )
        print(f"written: {1e3 * (used - making) / count:.4f} ms CPU a file, {count / took:.0f} files/s")
        print(f"on disk: {path.stat().st_size / count:.0f} bytes a file")
        begun, used = time.perf_counter(), time.process_time()
        with read_journal(path) as reader:
            events = sum(1 for _ in reader.events())
        took, used = time.perf_counter() - begun, time.process_time() - used
        print(f"read: {1e3 * used / count:.4f} ms CPU a file, {events / took:.0f} events/s")
        begun = time.perf_counter()
        planned = Planned({"CTA": PlannedExperiment(count, 0, count // FILES_PER_DATASET, 0)})
        objectives = ["upload.success >= 99%", "upload.lateness.p99 <= 2s"]
        to_html(make_report(path, planned, objectives, {}))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(f"report: {time.perf_counter() - begun:.1f} s, {memory:.0f} MB of memory at most")


if __name__ == "__main__":
    main()
