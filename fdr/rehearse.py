"""From a scenario file, or a run that broke off, to a verdict: what ``fdr run`` and ``fdr resume`` do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from rich.console import Console

from fdr import live
from fdr.audit.command import audit_held
from fdr.changes import Changes, load_changed
from fdr.clock import SteadyClock
from fdr.connection import Connection, read_connection
from fdr.earlier import Earlier, read_earlier
from fdr.errors import ExitCode, LakeUnusable
from fdr.journal.reader import read_journal
from fdr.lake.home import LakeHome
from fdr.lake.prepare import prepare_embedded, prepare_foreign
from fdr.metrics import Planned
from fdr.model import Scenario, Verdict
from fdr.objectives import needs_audit
from fdr.planned import planned
from fdr.preflight import check_lake
from fdr.reach import connect, reach
from fdr.recorded_run import RecordedRun, recorded_run
from fdr.rehearsal import Rehearsal
from fdr.report.make import print_summary
from fdr.run_report import report_of, write_report
from fdr.rundir import RunDir, make_run_dir, new_run_id, open_run_dir, writing
from fdr.same_run import check_can_go_on, check_plan, check_same_lake, check_scenario
from fdr.scenario.load import effective_yaml
from fdr.services import ServiceSampler

Show = Callable[[Path, Planned, asyncio.Event], Coroutine[None, None, None]]

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
    with directory.held():
        return _begin(run, path, changes, scenario, directory, connection, console)


def rehearse_or_resume(
    path: Path, changes: Changes, lake: str, run_dir: Path, prepare_allowed: bool, console: Console
) -> ExitCode:
    """Begin the run of a directory, go on with it if it was cut short, or report it again if it has ended.

    So the same command can be given as often as wanted, by whoever starts it again when it dies. A run that
    ``fdr stop`` or a limit ended has ended. Raises what ``rehearse`` and ``resume`` do, and UsageError if
    what is there was begun with another scenario or on another lake.
    """
    scenario = load_changed(path, changes)
    directory = open_run_dir(run_dir)
    with directory.held():  # before it is looked at: another process may be about to begin it
        if not directory.journal.exists():
            connection = prepare(connect(lake), scenario, prepare_allowed, console.print)
            run = new_run_id(datetime.now(UTC))
            return _begin(run, path, changes, scenario, directory, connection, console)
        recorded = recorded_run(directory)
        check_scenario(recorded, scenario)
        earlier = _earlier(directory)
        if not earlier.was_cut_short:
            console.print(f"{recorded.started.run} has ended: it is reported again")
            return _tell_again(recorded, earlier, lambda: connect(lake), console)
        check_can_go_on(recorded, earlier)
        connection = connect(lake)
        check_same_lake(recorded, connection)
        console.print(f"{recorded.started.run} was cut short: it goes on")
        return _go_on(recorded, earlier, connection, console)


def resume(directory: RunDir, lake: str | None, console: Console) -> ExitCode:
    """Go on with a run that ended early or died, as ``rehearse`` would have; ``lake`` is None for its own.

    A run that came to its own end is reported again. Raises UsageError if it is alive, its scenario is not
    what it was, or it was cleaned, LakeUnusable before anything is done.
    """
    with directory.held():
        recorded = recorded_run(directory)
        check_plan(recorded)
        earlier = _earlier(directory)
        if earlier.is_over and not earlier.standing.has_unsettled():
            console.print(f"{recorded.started.run} came to its end: nothing is left to do")
            return _tell_again(recorded, earlier, lambda: recorded.connection(lake), console)
        check_can_go_on(recorded, earlier)
        return _go_on(recorded, earlier, recorded.connection(lake), console)


def _earlier(directory: RunDir) -> Earlier:
    with read_journal(directory.journal) as reader:
        return read_earlier(reader)


def _begin(
    run: str,
    path: Path,
    changes: Changes,
    scenario: Scenario,
    directory: RunDir,
    connection: Connection,
    console: Console,
) -> ExitCode:
    """Begin a run in a directory that is held."""
    with writing(directory.path):
        directory.scenario.write_text(effective_yaml(path, changes.all_sets))
        log_to(directory.log)
    was_interrupted = asyncio.run(perform(run, scenario, directory, connection, _showing(console)))
    return _conclude(recorded_run(directory), connection, was_interrupted, console)


def _go_on(run: RecordedRun, earlier: Earlier, connection: Connection, console: Console) -> ExitCode:
    """Go on with a run whose directory is held."""
    log_to(run.directory.log)
    was_interrupted = asyncio.run(
        perform(run.started.run, run.scenario, run.directory, connection, _showing(console), earlier)
    )
    return _conclude(run, connection, was_interrupted, console)


def _tell_again(
    run: RecordedRun, earlier: Earlier, reached: Callable[[], Connection], console: Console
) -> ExitCode:
    """Report a run that has ended; one that died before its audit is audited first."""
    if earlier.was_interrupted or earlier.was_audited or earlier.was_cleaned or not _wants_audit(run):
        return _report(run.directory, False, console)
    connection = reached()
    check_same_lake(run, connection)
    return _conclude(run, connection, False, console)


def _wants_audit(run: RecordedRun) -> bool:
    return needs_audit(run.scenario.objectives, run.scenario.experiments)


def _conclude(run: RecordedRun, connection: Connection, was_interrupted: bool, console: Console) -> ExitCode:
    """Audit a run that came to its end, if an objective asks for it, and report as ``_report`` does.

    Where the audit fails or is interrupted, objectives on it stay undecided.
    """
    if not was_interrupted and _wants_audit(run):
        try:
            audit_held(run, connection, Console(stderr=True))
        except LakeUnusable as error:
            console.print(f"not audited: {error}", markup=False)
        except KeyboardInterrupt:
            console.print("not audited: interrupted; fdr audit does it at any time")
            was_interrupted = True
    return _report(run.directory, was_interrupted, console)


def _report(directory: RunDir, was_interrupted: bool, console: Console) -> ExitCode:
    """Write the report of a run, print its summary, and return the exit code."""
    report = report_of(directory)
    print_summary(report, console)  # before the files, for which there may be no room
    write_report(directory, report)  # while the run is held: whoever waits for its end finds them
    console.print(f"report: {directory.html}")
    return ExitCode.INTERRUPTED if was_interrupted else VERDICT_CODES[report.verdict]


def log_to(path: Path) -> None:
    """Keep what libraries say in a file of bounded size; gfal2 would tell every step of every copy."""
    logging.raiseExceptions = False  # a log that cannot be written must not fill the terminal instead
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


def _showing(console: Console) -> Show:
    return lambda journal, whole, over: live.show(journal, whole, console, over)


async def perform(
    run: str,
    scenario: Scenario,
    directory: RunDir,
    connection: Connection,
    show: Show,
    earlier: Earlier | None = None,
    *,
    tries_writing: bool = True,
) -> bool:
    """Carry out a run in a directory that is held, and return whether it was interrupted.

    ``show`` runs beside it until the event that it is given is set. Raises what ``Rehearsal.carry_out`` does.
    """
    restarts, not_before = (earlier.restarts, earlier.last_at) if earlier else ({}, 0.0)
    home = connection.embedded_home
    services = ServiceSampler(LakeHome(home), restarts=restarts) if home else None
    async with reach(connection, scenario.limits.requests_per_second) as doors:
        clock = SteadyClock(not_before)
        rehearsal = Rehearsal(
            run, scenario, directory, connection, doors, services, clock, earlier, tries_writing
        )
        return await rehearsal.carry_out(lambda over: show(directory.journal, planned(scenario), over))
