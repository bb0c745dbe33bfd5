"""From a scenario file to a verdict: what ``fdr run`` does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from rich.console import Console

from fdr import live
from fdr.changes import Changes, load_changed
from fdr.connection import Connection, read_connection
from fdr.errors import ExitCode
from fdr.lake.home import LakeHome
from fdr.lake.prepare import prepare_embedded, prepare_foreign
from fdr.model import Scenario, Verdict
from fdr.planned import planned
from fdr.preflight import check_lake
from fdr.reach import connect, reach
from fdr.rehearsal import Rehearsal
from fdr.report.make import print_summary
from fdr.run_report import write_report
from fdr.rundir import RunDir, make_run_dir, new_run_id
from fdr.scenario.load import effective_yaml
from fdr.services import ServiceSampler

LOG_BYTES = 10_000_000
VERDICT_CODES = {
    Verdict.PASS: ExitCode.PASSED,
    Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    Verdict.FAIL: ExitCode.OBJECTIVE_FAILED,
}


def prepare(
    connection: Connection, scenario: Scenario, allowed: bool, say: Callable[[str], None]
) -> Connection:
    """Prepare a lake for a scenario, ours always and another's only when it is allowed."""
    if connection.embedded_home is not None:
        prepare_embedded(LakeHome(connection.embedded_home), scenario, say)
        return read_connection(connection.rucio_cfg)
    if allowed:
        for change in prepare_foreign(connection, scenario):
            say(change)
    return connection


def rehearse(
    path: Path, changes: Changes, lake: str, run_dir: Path | None, prepare_allowed: bool, console: Console
) -> ExitCode:
    """Run a scenario on a lake, write its report, print its summary, and return the verdict's exit code.

    Raises ScenarioError, LakeUnusable and UsageError before anything is injected.
    """
    scenario = load_changed(path, changes)
    connection = prepare(connect(lake), scenario, prepare_allowed, console.print)
    run = new_run_id(datetime.now(UTC))
    directory = make_run_dir(run, run_dir)
    directory.scenario.write_text(effective_yaml(path, changes.all_sets))
    _log_to(directory.log)
    with directory.held():
        was_interrupted = asyncio.run(_perform(run, scenario, directory, connection, console))
    report = write_report(directory)
    print_summary(report, console)
    console.print(f"report: {directory.html}")
    return ExitCode.INTERRUPTED if was_interrupted else VERDICT_CODES[report.verdict]


def _log_to(path: Path) -> None:
    """Keep what libraries say in a file of bounded size; gfal2 would tell every step of every copy."""
    handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1)
    logging.basicConfig(
        handlers=[handler],
        level=logging.INFO,
        format="%(asctime)s %(name)s %(levelname)s %(message)s",
        force=True,
    )
    logging.getLogger("gfal2").setLevel(logging.WARNING)


def check(path: Path, changes: Changes, lake: str, say: Callable[[str], None]) -> None:
    """Say that a lake is ready for a scenario; raises LakeUnusable with all that is wrong."""
    scenario = load_changed(path, changes)
    connection = connect(lake)
    written = asyncio.run(_check(scenario, connection))
    say(f"{connection.name} is ready for {scenario.name}: {len(written)} RSEs can be written")


async def _check(scenario: Scenario, connection: Connection) -> Sequence[str]:
    async with reach(connection, scenario.limits.requests_per_second) as doors:
        run = new_run_id(datetime.now(UTC))
        return tuple(await check_lake(scenario, run, doors.catalog, doors.storage))


async def _perform(
    run: str, scenario: Scenario, directory: RunDir, connection: Connection, console: Console
) -> bool:
    services = ServiceSampler(LakeHome(connection.embedded_home)) if connection.embedded_home else None
    async with reach(connection, scenario.limits.requests_per_second) as doors:
        rehearsal = Rehearsal(run, scenario, directory, connection, doors.catalog, doors.storage, services)
        return await rehearsal.carry_out(
            lambda over: live.show(directory.journal, planned(scenario), console, over)
        )
