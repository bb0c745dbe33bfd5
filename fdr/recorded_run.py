"""A run that has been begun: its directory, the head of its journal, its scenario and its lake."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fdr.connection import Connection, read_connection
from fdr.journal.reader import read_journal
from fdr.model import RunStarted, Scenario
from fdr.reach import connect
from fdr.rundir import RunDir
from fdr.scenario.load import load_scenario


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """All that later commands need of a run; its events are read from the journal when they are wanted."""

    directory: RunDir
    started: RunStarted
    scenario: Scenario

    def connection(self, lake: str | None = None) -> Connection:
        """Return how to reach the lake of the run; ``lake`` is what ``--lake`` named instead.

        Raises LakeUnusable when it cannot be reached that way any more.
        """
        return connect(lake) if lake is not None else read_connection(Path(self.started.lake_config))


def recorded_run(directory: RunDir) -> RecordedRun:
    """Return the run of a directory; raises UsageError if its journal cannot be read."""
    with read_journal(directory.journal) as reader:
        started = reader.started
    scenario = load_scenario(
        directory.scenario, scale=started.scale, size_scale=started.size_scale, speed=started.speed
    )
    return RecordedRun(directory, started, scenario)
