"""Take away what earlier probes have left: those that were killed, or met storages that were down."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence

from fdr.errors import UsageError
from fdr.probe.fts import Fts
from fdr.probe.login import Login
from fdr.probe.record import Record, Traces
from fdr.probe.result import Left
from fdr.probe.sweep import cancel_all, sweep_places
from fdr.storage.steps import GfalSteps


async def clean_earlier(
    records: Sequence[Record], storage: GfalSteps, login: Login, timeout_s: float
) -> tuple[int, Left]:
    """Cancel and delete what these records tell of, and return how many did and what is left of it.

    Whatever is left is kept in its record, for the next one. Raises UsageError where that cannot be written.
    """
    told: dict[Record, Traces] = {}
    for record in records:
        try:
            told[record] = record.read()
        except UsageError:  # nothing that we could act on stands in it
            continue
    settled = await _cancelled(told.values(), login, timeout_s)
    places = [place for traces in told.values() for place in traces.places]
    left = await sweep_places(places, storage)
    open_jobs: dict[str, str] = {}
    for record, traces in told.items():
        jobs = tuple((fts, job) for fts, job in traces.jobs if job not in settled)
        # A transfer that may still go on may still write: its probe's files are looked for again.
        kept = tuple(
            place
            for place in traces.places
            if jobs or place.url in left.files or place.directory in left.directories
        )
        open_jobs |= {job: f"{fts} did not say that it is over" for fts, job in jobs}
        if kept or jobs:
            record.keep(Traces(kept, jobs))
        else:
            record.forget()
    return len(told), Left(left.files, left.directories, open_jobs)


async def _cancelled(told: Iterable[Traces], login: Login, timeout_s: float) -> set[str]:
    """Cancel all jobs and return those for which nothing more happens."""
    of_fts: dict[str, list[str]] = defaultdict(list)
    for traces in told:
        for fts, job in traces.jobs:
            of_fts[fts].append(job)

    async def at_one(url: str, jobs: list[str]) -> set[str]:
        fts = Fts(url, login, timeout_s)
        try:
            return await cancel_all(fts, jobs)
        finally:
            fts.close()

    each = await asyncio.gather(*(at_one(url, jobs) for url, jobs in of_fts.items()))
    return set().union(*each)
