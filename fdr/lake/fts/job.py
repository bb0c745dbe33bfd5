"""An FTS job and its files, as values. Pure.

Names of fields and states are those of FTS3's REST interface, so that an answer is the value itself.
Times are UTC, ``YYYY-MM-DDTHH:MM:SS``, as FTS3 writes them; they sort as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class FileState(StrEnum):
    """Where a file of a job stands."""

    STAGING = "STAGING"
    STARTED = "STARTED"
    SUBMITTED = "SUBMITTED"
    READY = "READY"
    ACTIVE = "ACTIVE"
    NOT_USED = "NOT_USED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class JobState(StrEnum):
    """Where a job stands."""

    STAGING = "STAGING"
    SUBMITTED = "SUBMITTED"
    ACTIVE = "ACTIVE"
    FINISHED = "FINISHED"
    FINISHEDDIRTY = "FINISHEDDIRTY"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class JobType(StrEnum):
    """Normal, several sources for one file (multi-replica), or several hops of one file."""

    NORMAL = "N"
    MULTI_SOURCE = "R"
    MULTI_HOP = "H"


FINAL_FILE_STATES = frozenset({FileState.FINISHED, FileState.FAILED, FileState.CANCELED})
FINAL_JOB_STATES = frozenset({JobState.FINISHED, JobState.FINISHEDDIRTY, JobState.FAILED, JobState.CANCELED})
STAGING_STATES = frozenset({FileState.STAGING, FileState.STARTED})
UNFINISHED_STATES = STAGING_STATES | {FileState.SUBMITTED, FileState.READY, FileState.ACTIVE}


@dataclass(frozen=True, slots=True)
class File:
    """One transfer of a job: a source, a destination, and how far it is.

    ``file_metadata`` is the JSON text that came with it. ``filesize`` is the size the source really
    has; ``throughput`` is in MiB/s and ``tx_duration`` in seconds. ``transfer_type`` is the way
    that was really taken ("3rd pull", "3rd push", "streamed"); FTS3 does not answer it.
    """

    job_id: str
    file_index: int
    source_surl: str
    dest_surl: str
    source_se: str
    dest_se: str
    file_state: FileState
    priority: int
    checksum: str
    user_filesize: int
    selection_strategy: str
    activity: str
    file_metadata: str
    hashed_id: int
    scitag: int | None = None
    staging_metadata: str | None = None
    archive_metadata: str | None = None
    file_id: int = 0
    retry: int = 0
    reason: str | None = None
    start_time: str | None = None
    finish_time: str | None = None
    staging_start: str | None = None
    staging_finished: str | None = None
    pid: int | None = None
    transfer_host: str | None = None
    filesize: int | None = None
    timeout_s: int | None = None
    tx_duration: float | None = None
    throughput: float | None = None
    recoverable: bool | None = None
    transfer_type: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """What was submitted at once; ``files`` in the order of submission. ``job_metadata`` is JSON text."""

    job_id: str
    job_type: JobType
    job_state: JobState
    submit_time: str
    priority: int
    source_se: str | None
    dest_se: str | None
    verify_checksum: str
    overwrite_flag: str | None
    job_metadata: str
    files: tuple[File, ...]
    retry: int = 0
    retry_delay: int = 0
    copy_pin_lifetime: int = -1
    bring_online: int = -1
    archive_timeout: int = -1
    dst_file_report: bool = False
    internal_job_params: str | None = None
    cancel_job: bool = False
    reason: str | None = None
    job_finished: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether the job has ended; it never changes its state again."""
        return self.job_state in FINAL_JOB_STATES


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt to copy a file ended; an empty ``reason`` is success."""

    reason: str = ""
    recoverable: bool = False
    filesize: int = 0
    duration_s: float = 0.0
    transfer_type: str | None = None


class Link(NamedTuple):
    """Two storages and the way from one to the other."""

    source_se: str
    dest_se: str
