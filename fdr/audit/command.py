"""Audit a run from its directory alone, and keep in its journal what it came to: what ``fdr audit`` does."""

from __future__ import annotations

import asyncio
import time

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fdr.audit.auditor import Auditor
from fdr.audit.finding import Audit
from fdr.connection import Connection
from fdr.errors import ExitCode, LakeError, LakeUnusable
from fdr.journal.reader import read_journal
from fdr.journal.writer import Journal
from fdr.reach import reach
from fdr.recorded_run import RecordedRun, recorded_run
from fdr.rundir import RunDir


def audit_run(directory: RunDir, lake: str | None, progress: Console) -> Audit:
    """Audit a run that is over and journal what it came to.

    ``lake`` names another way to its lake than its own. Raises UsageError when the run is alive or has no
    journal, LakeUnusable when Rucio does not answer.
    """
    run = recorded_run(directory)
    with directory.held():
        return audit_held(run, run.connection(lake), progress)


def audit_held(run: RecordedRun, connection: Connection, progress: Console) -> Audit:
    """Audit a run that this process holds, and journal what it came to; raises as ``audit_run`` does."""
    return asyncio.run(_audit(run, connection, progress))


def exit_code(audit: Audit) -> ExitCode:
    """Return how an audit ends: with what was found before with what could not be looked at."""
    if audit.counts.total():
        return ExitCode.OBJECTIVE_FAILED
    return ExitCode.INCONCLUSIVE if audit.unseen else ExitCode.PASSED


async def _audit(run: RecordedRun, connection: Connection, progress: Console) -> Audit:
    requests_per_second = run.scenario.limits.requests_per_second
    async with reach(connection, requests_per_second) as doors:
        auditor = Auditor(doors.catalog, doors.inventory, doors.storage, run.scenario)
        try:
            with read_journal(run.directory.journal) as reader, _shown(progress) as bar:
                task = bar.add_task("audited", total=None)
                audit = await auditor.audit(
                    reader,
                    time.time(),
                    lambda done, total: bar.update(task, completed=done, total=total),
                )
        except LakeError as error:
            raise LakeUnusable(f"{connection.name}: cannot be audited: {error}") from error
    journal = Journal.reopen(run.directory.journal)
    journal.record(audit.event())
    await journal.close()
    return audit


def _shown(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        MofNCompleteColumn(),
        TextColumn("files"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
