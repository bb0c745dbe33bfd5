"""What must still be as it was for a run to go on; else a UsageError says what to do."""

from __future__ import annotations

from dataclasses import fields

from fdr.connection import Connection
from fdr.earlier import Earlier
from fdr.errors import UsageError
from fdr.model import Scenario
from fdr.plan import digest
from fdr.recorded_run import RecordedRun


def check_plan(run: RecordedRun) -> None:
    """Refuse to go on with another plan than the one that was begun: names would not mean the same files."""
    if digest(run.scenario) != run.started.plan_digest:
        raise UsageError(
            f"{run.directory.scenario}: its plan is not the one that was begun"
            f" (undo changes to it, or use fdr {run.started.fdr_version}, which began it)"
        )


def check_scenario(run: RecordedRun, scenario: Scenario) -> None:
    """Refuse a scenario that is not the one of the run, and what would make another plan of it."""
    names = [field.name for field in fields(Scenario)]
    changed = [name for name in names if getattr(run.scenario, name) != getattr(scenario, name)]
    if changed:
        raise UsageError(
            f"{run.directory.path}: its run {run.started.run} was begun with another scenario: not the same"
            f" {', '.join(changed)} (undo that, choose another --run-dir, or go on with it as it was begun:"
            f" fdr resume {run.directory.path})"
        )
    check_plan(run)


def check_same_lake(run: RecordedRun, connection: Connection) -> None:
    """Refuse another lake: what the run has made is not there."""
    if connection.name != run.started.lake:
        raise UsageError(
            f"{run.directory.path}: its run {run.started.run} was begun on {run.started.lake}, not on"
            f" {connection.name} (name that lake with --lake, or choose another --run-dir)"
        )


def check_can_go_on(run: RecordedRun, earlier: Earlier) -> None:
    """Refuse a run that was taken away from its lake."""
    if earlier.was_cleaned:
        raise UsageError(f"{run.directory.path}: fdr clean has removed this run: run its scenario anew")
