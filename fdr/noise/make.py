"""Make one pass of noise: look at the RSEs, run the scenario, tell the pairs, take away what was made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from fdr.clean import clean_run
from fdr.connection import Connection
from fdr.errors import FdrError
from fdr.journal.reader import read_journal
from fdr.noise.fold import NoiseFold
from fdr.noise.kept import mark, prune, unclean_runs
from fdr.noise.pair import Pair, Part, untried
from fdr.noise.recipe import Recipe
from fdr.noise.result import Result, counts_left
from fdr.noise.scenario import REQUESTS_PER_SECOND, noise_scenario
from fdr.noise.survey import survey
from fdr.noise.tell import SCHEMA, as_json
from fdr.reach import reach
from fdr.recorded_run import recorded_run
from fdr.rehearse import Show, log_to, perform
from fdr.run_report import report_of, write_report
from fdr.rundir import RunDir, make_run_dir, new_run_id, writing
from fdr.scenario.lines import write_document
from fdr.scenario.load import load_scenario

CLEANED_LATER = 3  # earlier passes that one pass goes on to clean at most, so that it ends in time


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is kept of passes, and where: ``keep`` runs in ``root``.

    After a pass Rucio is asked to delete what it made, and is waited for for ``clean_wait_s``.
    """

    root: Path
    keep: int
    clean_wait_s: float


def make_noise(connection: Connection, recipe: Recipe, keeping: Keeping, show: Show) -> Result:
    """Make one pass of noise and return what it came to; runs of earlier passes are cleaned and pruned.

    ``recipe`` names its account and scope; whoever calls lets nobody else in (``fdr.alone``). Raises
    UsageError and LakeUnusable before anything is made, JournalFailed when its record cannot be kept.
    """
    started_at = time.time()
    run = new_run_id(datetime.now(UTC))
    parts = asyncio.run(_look(connection, recipe, run))
    scenario = noise_scenario(parts, recipe)
    now = time.time()
    result = Result(
        connection.name, recipe, tuple(parts), tuple(_untried(parts)), started_at, now, ended_at=now
    )
    if scenario is not None:
        directory = make_run_dir(run, keeping.root / run)
        result = _run(directory, write_document(scenario), replace(result, run=run), connection, show)
        result = _cleaned(directory, result, 0.0 if result.was_interrupted else keeping.clean_wait_s)
        mark(directory, as_json(result))
    if not result.was_interrupted:
        _clean_earlier(keeping.root, run)
    prune(keeping.root, keeping.keep)
    return result


async def _look(connection: Connection, recipe: Recipe, run: str) -> list[Part]:
    async with reach(connection, REQUESTS_PER_SECOND) as doors:
        return await survey(recipe, run, doors.catalog, doors.storage)


def _run(directory: RunDir, text: str, result: Result, connection: Connection, show: Show) -> Result:
    """Run the scenario as any other, with its report; return the result with what became of its pairs."""
    with directory.held():
        with writing(directory.path):
            directory.scenario.write_text(f"# Made by fdr noise.\n{text}")
        mark(directory, {"schema": SCHEMA, "run": result.run})
        scenario = load_scenario(directory.scenario)
        log_to(directory.log)
        was_interrupted = asyncio.run(
            perform(result.run, scenario, directory, connection, show, tries_writing=False)
        )
        write_report(directory, report_of(directory))
        with read_journal(directory.journal) as reader:
            fold = NoiseFold(scenario, reader.events())
    now = time.time()
    return replace(
        result,
        run_dir=str(directory.path),
        pairs=tuple(sorted((*result.pairs, *fold.pairs()), key=lambda pair: (pair.src, pair.dst))),
        put_s=fold.upload_seconds(),
        known_at=now,
        ended_at=now,
        was_interrupted=was_interrupted,
    )


def _untried(parts: Sequence[Part]) -> list[Pair]:
    pairs = (untried(src, dst) for src in parts for dst in parts if dst is not src)
    return [pair for pair in pairs if pair is not None]


def _cleaned(directory: RunDir, result: Result, wait_s: float) -> Result:
    """Take away what the pass made; return the result with what is left after so long."""
    try:
        cleaned = clean_run(recorded_run(directory), None, wait_s, lambda text: None)
    except FdrError as error:
        return replace(result, uncleaned=str(error), ended_at=time.time())
    except KeyboardInterrupt:  # what became of the pairs is told all the same
        return replace(result, uncleaned="interrupted", ended_at=time.time(), was_interrupted=True)
    return replace(result, left=counts_left(cleaned), ended_at=time.time())


def _clean_earlier(root: Path, run: str) -> None:
    """Go on with taking earlier passes away, the latest first; what cannot be done now is for the next."""
    earlier = [directory for directory in unclean_runs(root) if directory.path.name != run]
    for directory in earlier[:CLEANED_LATER]:
        try:
            clean_run(recorded_run(directory), None, 0.0, lambda text: None)
        except FdrError:
            continue
