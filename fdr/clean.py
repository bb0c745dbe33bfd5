"""Take a run away from its lake: what ``fdr clean`` does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from fdr.belongings import RunDataset, belongings
from fdr.clean_view import cleaned_as_json, cleaned_lines, survey_lines, thing_as_json
from fdr.cleaned import Cleaned, Thing
from fdr.cleaning import Cleaning
from fdr.clock import SteadyClock
from fdr.errors import ExitCode, LakeError, LakeUnusable, UsageError
from fdr.journal.reader import JournalReader, read_journal
from fdr.journal.writer import Journal
from fdr.model import CLEANED, CLEANING, DELETION_ASKED, Note
from fdr.pfn import Locator
from fdr.reach import Doors, reach
from fdr.recorded_run import RecordedRun, recorded_run
from fdr.remains import Places
from fdr.run_report import report_of, write_report
from fdr.rundir import RunDir
from fdr.units import parse_duration

ASK_AGAIN_S = 24 * 3600  # what Rucio was asked to delete longer ago than this is asked for once more


def clean(
    directory: RunDir, lake: str | None, dry_run: bool, wait: str, as_json: bool, console: Console
) -> ExitCode:
    """Clean a run, or say what there is of it, and return the exit code. Raises what ``clean_run`` does."""
    recorded = recorded_run(directory)
    run = recorded.started.run

    def told(text: str) -> None:
        if not as_json:
            console.print(text, markup=False, highlight=False, soft_wrap=True)

    def listed(thing: Thing) -> None:
        if as_json:
            print(json.dumps(thing_as_json(thing)))

    try:
        wait_s = parse_duration(wait)
    except ValueError as error:
        raise UsageError(f"--wait: {error}") from error
    cleaned = survey_run(recorded, lake, listed) if dry_run else clean_run(recorded, lake, wait_s, told)
    for line in survey_lines(run, cleaned) if dry_run else cleaned_lines(run, directory.path, cleaned):
        told(line)
    if as_json:
        print(json.dumps(cleaned_as_json(run, cleaned, dry_run=dry_run)))
    return ExitCode.PASSED if dry_run or cleaned.nothing_there else ExitCode.INCONCLUSIVE


def survey_run(recorded: RecordedRun, lake: str | None, tell: Callable[[Thing], None]) -> Cleaned:
    """Return what there is of a run on its lake, and tell each thing; changes nothing.

    Raises UsageError when the run is alive or its record is not sound, LakeUnusable when the lake cannot be
    asked.
    """
    directory = recorded.directory

    async def survey() -> Cleaned:
        with read_journal(directory.journal) as reader:
            async with _reached(recorded, lake) as doors:
                cleaning = await _prepared(recorded, reader, doors, lambda text: None)
                return await cleaning.survey(tell)

    with directory.held():
        return _run(survey())


def clean_run(recorded: RecordedRun, lake: str | None, wait_s: float, say: Callable[[str], None]) -> Cleaned:
    """Remove a run from its lake, waiting so long for Rucio's daemons, and return what there still is.

    The journal keeps that this was done, and the run's report is written again to say so. Raises what
    ``survey_run`` does; then doing it again goes on from where it was.
    """
    directory = recorded.directory

    async def clean() -> Cleaned:
        async with _reached(recorded, lake) as doors:
            journal = Journal.reopen(directory.journal)
            try:
                with read_journal(directory.journal) as reader:
                    cleaning = await _prepared(recorded, reader, doors, say)
                    return await _clean(cleaning, reader, journal, wait_s)
            finally:
                await journal.close()

    with directory.held():
        cleaned = _run(clean())
        write_report(directory, report_of(directory))
    return cleaned


async def _clean(cleaning: Cleaning, reader: JournalReader, journal: Journal, wait_s: float) -> Cleaned:
    asked = [note.at for note in reader.notes() if note.kind == DELETION_ASKED]
    now = cleaning.clock.now()
    asked_before = bool(asked) and asked[-1] > now - ASK_AGAIN_S
    if asked_before:
        cleaning.say(f"Rucio was asked to delete this run at {_moment(asked[-1])} already")
    for _ in cleaning.datasets():  # a record that is not sound is refused before anything is touched
        pass
    journal.record(Note(now, CLEANING))
    await journal.flush()
    done = Cleaned()
    await cleaning.ask(done, asked_before=asked_before)
    if done.datasets_expired:
        cleaning.say(
            f"asked Rucio to delete {done.datasets_expired} datasets; {done.replicas_held} replicas that no "
            "rule held are purged with them"
        )
    if not asked_before and not done.problems:
        asked.append(cleaning.clock.now())
        journal.record(Note(asked[-1], DELETION_ASKED))
    done.asked_at = asked[-1] if asked else now
    await cleaning.settle(done, cleaning.clock.now() + wait_s, done.asked_at)
    if done.nothing_there:
        journal.record(Note(cleaning.clock.now(), CLEANED, "nothing of the run is left"))
    return done


@asynccontextmanager
async def _reached(recorded: RecordedRun, lake: str | None) -> AsyncIterator[Doors]:
    """Open the doors to the lake of a run, at the pace that its scenario allows."""
    pace = recorded.scenario.limits.requests_per_second
    async with reach(recorded.connection(lake), pace) as doors:
        yield doors


async def _prepared(
    recorded: RecordedRun, reader: JournalReader, doors: Doors, say: Callable[[str], None]
) -> Cleaning:
    """Return the cleaning of a run, with where its files may lie."""
    scenario = recorded.scenario
    for account in sorted({experiment.account for experiment in scenario.experiments.values()}):
        await doors.catalog.log_in(account)
    went_to = reader.destinations()
    copies = {}
    for name, experiment in scenario.experiments.items():
        chosen = [await doors.catalog.matching_rses(experiment.account, rule.to) for rule in experiment.rules]
        copies[name] = went_to.get(experiment.scope, frozenset()).union(*chosen)
    account = next(iter(scenario.experiments.values())).account
    locators = {}
    for rse in sorted(frozenset(scenario.rses).union(*copies.values())):
        facts = await doors.catalog.rse(account, rse)
        if facts is not None and facts.deterministic and facts.prefixes:
            locators[rse] = Locator(facts)

    def datasets() -> Iterable[RunDataset]:
        return belongings(recorded.started.run, scenario, reader.by_dataset())

    return Cleaning(
        recorded.started.run,
        scenario,
        datasets,
        doors.catalog,
        doors.inventory,
        doors.removal,
        doors.storage,
        Places(copies, locators),
        SteadyClock(),
        say,
    )


def _run(work: Coroutine[Any, Any, Cleaned]) -> Cleaned:
    try:
        return asyncio.run(work)
    except LakeError as error:
        raise LakeUnusable(f"{error} (run it again later: it goes on from where it was)") from error


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
