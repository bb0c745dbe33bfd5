"""What a probe has made, or may have, and takes away again: the ledger of it, and the record on disk."""

from __future__ import annotations

from collections.abc import Iterable

from fdr.probe.plan import Place
from fdr.probe.record import Record, Traces
from fdr.storage.gfal_errors import NOT_REACHED

NOTHING_MADE = NOT_REACHED | {"permission"}  # a put that was refused like this made no directory either
STILL_PUT = "its put did not end in time, and may still do so"
STILL_COPIED = "its transfer may still go on"


class Ledger:
    """Keeps, of what is written down on disk, what is not known to be gone.

    ``unsettled`` are files that may come to be though they were deleted, with the reason.
    """

    def __init__(self, record: Record, places: Iterable[Place]) -> None:
        """Write down all the places before anything is put; raises UsageError where that cannot be done."""
        self._record = record
        self.places = {place.url: place for place in places}
        self.jobs: dict[str, str] = {}  # id: URL of the FTS
        self.unsettled: dict[str, str] = {}
        self.gone: set[str] = set()  # files that were seen to be gone
        self.untouched: set[str] = set()  # files that certainly were not made
        self._keep()

    def expect_jobs(self, fts: str, jobs: Iterable[str]) -> None:
        """Write down jobs that are about to be submitted, or were; raises UsageError."""
        new = {job: fts for job in jobs if job and job not in self.jobs}
        if new:
            self.jobs |= new
            self._keep()

    def settle_job(self, job: str) -> None:
        """Note that nothing more happens for a job."""
        self.jobs.pop(job, None)

    def never_made(self, place: Place) -> None:
        """Note that a file certainly was not made, nor its directory on its account."""
        self.untouched.add(place.url)

    def refused(self, place: Place, reason: str) -> None:
        """Note that a put was refused for a reason, so that there is at most an empty directory."""
        (self.untouched if reason in NOTHING_MADE else self.gone).add(place.url)

    def close(self, left_files: Iterable[str], left_directories: Iterable[str]) -> str:
        """Write down what is left and return where, or remove the record and return nothing."""
        urls, directories = set(left_files), set(left_directories)
        self.places = {
            url: place for url, place in self.places.items() if url in urls or place.directory in directories
        }
        if not (self.places or self.jobs):
            self._record.forget()
            return ""
        self._keep()
        return str(self._record.path)

    def _keep(self) -> None:
        traces = Traces(tuple(self.places.values()), tuple((fts, job) for job, fts in self.jobs.items()))
        self._record.keep(traces)
