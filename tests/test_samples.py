"""What fdr says of its own use is its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

import fdr.samples
from fdr.catalog import Usage
from fdr.clock import SteadyClock
from fdr.journal.reader import read_journal
from fdr.journal.writer import Journal
from fdr.model import GeneratorUsage, Note, RseUsage, RunStarted, ServiceSample
from fdr.samples import Sampler
from fdr.scenario.load import load_scenario
from tests.fakes.catalog import FakeCatalog

SMOKE = Path(__file__).parents[1] / "scenarios" / "smoke.yaml"

PROGRAM = "from fdr.samples import own_usage; print(own_usage(0.0, 7).memory_peak_bytes)"


def test_the_peak_memory_is_not_that_of_the_process_that_started_it() -> None:
    """A child of a process that holds 300 MB says what it needs itself."""
    ballast = bytearray(b"x") * 300_000_000
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert len(ballast) == 300_000_000
    assert 10_000_000 < int(done.stdout) < 200_000_000


class BrokenCatalog(FakeCatalog):
    """A catalogue in which one RSE is a surprise, and another never answers."""

    async def usage(self, account: str, rse: str) -> Usage | None:
        if rse == "SURPRISE":
            raise ZeroDivisionError("nobody foresaw this")
        if rse == "SILENT":
            await asyncio.Event().wait()
        return Usage(rse, 1, 1)


@pytest.mark.parametrize(("rses", "noted"), [(["A", "SURPRISE"], 1), (["A", "SILENT"], 0)])
async def test_a_run_does_not_end_for_its_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rses: list[str], noted: int
) -> None:
    """What a sample meets unforeseen is noted once, what does not come is left out; the others go on."""
    monkeypatch.setattr(fdr.samples, "SAMPLE_WITHIN_S", 0.02)
    monkeypatch.setattr(fdr.samples, "USAGE_EVERY_S", 0.01)
    monkeypatch.setattr(fdr.samples, "SERVICES_EVERY_S", 0.01)
    surprises = []

    def services(at: float) -> list[ServiceSample]:
        surprises.append(at)
        raise KeyError("nor this")

    clock = SteadyClock()
    started = RunStarted("R", "smoke", 2020, "", 1.0, 1.0, clock.now(), "0", "0", "fake", "")
    journal = Journal.create(tmp_path / "journal.sqlite", started)
    sampler = Sampler(journal, clock, BrokenCatalog(load_scenario(SMOKE).rses, {}), "cta", rses, services)
    sampling = asyncio.create_task(sampler.run())
    async with asyncio.timeout(30):
        while len(surprises) < 5:
            await asyncio.sleep(0.01)
    assert not sampling.done()
    sampling.cancel()
    await sampler.finish()
    await journal.close()
    with read_journal(tmp_path / "journal.sqlite") as reader:
        events = list(reader.events())
    notes = [event.text for event in events if isinstance(event, Note) and event.kind == "samples-lost"]
    assert len([text for text in notes if "KeyError" in text]) == 1
    assert len([text for text in notes if "ZeroDivisionError: nobody foresaw this" in text]) == noted
    assert len(notes) == 1 + noted
    assert sum(isinstance(event, GeneratorUsage) for event in events) >= 5
    assert sum(isinstance(event, RseUsage) for event in events) >= 2
