"""Take away what a probe has made, and say what is left."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from fdr.errors import LakeError
from fdr.probe.fts import Fts
from fdr.probe.jobs import JobState
from fdr.probe.plan import Place
from fdr.probe.result import Left
from fdr.probe.traces import STILL_COPIED, Ledger
from fdr.storage.gfal_errors import NOT_REACHED
from fdr.storage.steps import GfalSteps

SETTLED_WITHIN_S = 15.0  # FTS knows when a cancelled transfer has ended some seconds later
AGAIN_S = 1.0


async def sweep(ledger: Ledger, storage: GfalSteps) -> Left:
    """Delete all files of a ledger and their directories, at all storages at once; return what is left."""
    may_be = [place for url, place in ledger.places.items() if url not in ledger.untouched]
    left = await sweep_places(may_be, storage, ledger.gone)
    files = {**left.files, **ledger.unsettled}
    return Left(files, left.directories, dict.fromkeys(ledger.jobs, STILL_COPIED))


async def sweep_places(
    places: Iterable[Place], storage: GfalSteps, gone: Collection[str] = frozenset()
) -> Left:
    """Delete files and their directories; of those ``gone`` only the directories. Return what is left."""
    of_directory: dict[str, list[str]] = defaultdict(list)
    for place in places:
        of_directory[place.directory] += [place.url] if place.url not in gone else []
    swept = await asyncio.gather(
        *(_sweep_one(directory, urls, storage) for directory, urls in of_directory.items())
    )
    return Left(
        {url: why for files, _ in swept for url, why in files.items()},
        {url: why for _, directories in swept for url, why in directories.items()},
    )


async def _sweep_one(
    directory: str, urls: Sequence[str], storage: GfalSteps
) -> tuple[dict[str, str], dict[str, str]]:
    """Delete the files of one directory, then it; return what is left of both, and why."""
    failures = await storage.delete(urls) if urls else {}
    files = {
        url: _why(error, url) for url, error in failures.items() if not await _is_missing(url, error, storage)
    }
    if files:
        return files, {}
    try:
        await storage.remove_directory(directory)
    except LakeError as error:
        return {}, {directory: _why(error, directory)}
    return {}, {}


async def _is_missing(url: str, error: LakeError, storage: GfalSteps) -> bool:
    """Tell whether a file that could not be deleted was not there: some storages refuse before they look."""
    if error.reason in NOT_REACHED:
        return False
    try:
        await storage.size(url)
    except LakeError as missing:
        return missing.reason == "not-found"
    return False


async def cancel_all(fts: Fts, jobs: Iterable[str]) -> set[str]:
    """Cancel jobs and return those for which nothing more happens, after SETTLED_WITHIN_S at most.

    Never raises: what FTS does not tell is not settled.
    """
    open_jobs, settled = set(jobs), set[str]()
    try:
        async with asyncio.timeout(SETTLED_WITHIN_S):
            states = await fts.states(sorted(open_jobs))
            settled = _over(states)
            await asyncio.gather(*(fts.cancel(job) for job in open_jobs - settled))
            while open_jobs - settled:
                settled |= _over(await fts.states(sorted(open_jobs - settled)))
                if open_jobs - settled:
                    await asyncio.sleep(AGAIN_S)
    except (LakeError, TimeoutError):
        pass
    return settled & open_jobs


def _over(states: dict[str, JobState]) -> set[str]:
    return {job for job, state in states.items() if state.is_over}


def without_url(error: LakeError, url: str) -> str:
    """Return the message of an error without the URL that it begins with, where that is told beside it."""
    return str(error).removeprefix(f"{url}: ")


def _why(error: LakeError, url: str) -> str:
    return f"{error.reason}: {without_url(error, url)}"
