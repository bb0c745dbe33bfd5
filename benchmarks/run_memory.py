"""How a run's memory goes with its length: everything of fdr's but the lake, in virtual time.

Usage: python -m benchmarks.run_memory [FILES]

The engine carries out the 2020 scenario at such a scale; puts and calls to Rucio succeed at once. Beside it,
the ledger of the watch and the counts of the display read the journal, as they do in a run.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from fdr.catalog import NewDataset, NewReplica
from fdr.context import Context
from fdr.dataset_plan import upload_rses
from fdr.engine import Engine
from fdr.journal.reader import FROM_THE_START, read_journal
from fdr.journal.writer import Journal
from fdr.ledger import Ledger
from fdr.model import Did, Rule, RunStarted, Scenario
from fdr.payload import Payload
from fdr.plan import plan
from fdr.planned import planned
from fdr.registrar import Registrar
from fdr.scenario.load import load_scenario
from fdr.stop import Stop
from fdr.tally import Tally

ESCAPE = Path(__file__).parents[1] / "scenarios" / "escape-fdr-2020.yaml"
FILES_OF_ESCAPE = 822_520
READ_EVERY_S = 0.2


class NoLake:
    """A catalogue and storages where everything is done at once and nothing is kept."""

    def url(self, did: Did) -> str:
        """Return where the file would lie."""
        return f"nowhere://{did}"

    async def put(self, payload: Payload, url: str, *, overwrite: bool = False) -> None:
        """Put nothing."""

    async def create_dataset(self, account: str, dataset: NewDataset) -> None:
        """Create nothing."""

    async def register(self, account: str, replicas: Sequence[NewReplica]) -> None:
        """Register nothing."""

    async def close_dataset(self, account: str, dataset: Did) -> None:
        """Close nothing."""

    async def add_rule(self, account: str, dataset: Did, rule: Rule) -> str:
        """Add nothing."""
        return f"{abs(hash((dataset, rule.to))):032x}"


class Hurried:
    """A clock on which nobody waits, but for others to have their turn."""

    def __init__(self) -> None:
        """Begin at a time long ago."""
        self._at = 1e6

    def now(self) -> float:
        """Return the time in Unix seconds."""
        return self._at

    async def sleep_until(self, at: float) -> None:
        """Let others have their turn, then be there."""
        await asyncio.sleep(0.001)
        self._at = max(self._at, at)


async def run(folder: Path, scenario: Scenario) -> None:
    """Carry out the scenario, and print the memory held after each tenth of its files."""
    lake, clock = NoLake(), Hurried()
    started = RunStarted("bench", "bench", 1, "", 1.0, 1.0, clock.now(), "0", "0", "none", "")
    journal = Journal.create(folder / "journal.sqlite", started)
    context = Context(
        "20201119T000000-0000", "20201119", scenario, lake, lake,  # type: ignore[arg-type]
        dict.fromkeys(upload_rses(scenario), lake), journal, clock,  # type: ignore[arg-type]
        {e.account: Registrar(lake, e.account) for e in scenario.experiments.values()},  # type: ignore[arg-type]
    )  # fmt: skip
    files = sum(experiment.inject.files for experiment in scenario.experiments.values())
    reading = asyncio.create_task(read_along(folder / "journal.sqlite", scenario, files))
    begun = time.process_time()
    await Engine(context, 16).run(plan(scenario), clock.now(), Stop())
    await journal.flush()
    await reading
    print(f"{files} files: {(time.process_time() - begun) / files * 1000:.2f} ms of CPU a file, all told")
    await journal.close()


async def read_along(path: Path, scenario: Scenario, files: int) -> None:
    """Read the journal as the watch and the display do, until every file has ended."""
    tally, ledger, cursor, told = Tally(planned(scenario)), Ledger(), FROM_THE_START, 0
    with read_journal(path) as reader:
        while True:
            events, cursor = await asyncio.to_thread(reader.events_since, cursor)
            tally.take(events)
            for event in events:
                ledger.take(event)
            done = tally.total.ok
            while told < 10 and done >= files * (told + 1) / 10:
                told += 1
                print(f"{done:8} files ok, {resident_mb():.0f} MB", flush=True)
            if done == files:
                return
            await asyncio.sleep(READ_EVERY_S)


def resident_mb() -> float:
    """Return the memory that this process holds now, of proc(5)."""
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) / 1000


def main() -> None:
    """Read the number of files and run."""
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder), load_scenario(ESCAPE, scale=files / FILES_OF_ESCAPE, speed=1.0)))


if __name__ == "__main__":
    main()
