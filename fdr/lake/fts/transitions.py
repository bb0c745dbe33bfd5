"""What becomes of an FTS job: how its state follows from what happens to its files. Pure."""

from __future__ import annotations

from dataclasses import replace

from fdr.lake.fts.job import (
    FINAL_FILE_STATES,
    STAGING_STATES,
    UNFINISHED_STATES,
    Ending,
    File,
    FileState,
    Job,
    JobState,
    JobType,
)

FILES_FAILED = "One or more files failed. Please have a look at the details for more information"
CANCELED_BY_USER = "Job canceled by the user"


def handed_out(job: Job, at: int) -> Job:
    """Return the job after file number ``at`` was taken from the queue."""
    _expect(job, at, FileState.SUBMITTED)
    return _follow(_with_file(job, at, replace(job.files[at], file_state=FileState.READY)), None)


def started(job: Job, at: int, now: str, pid: int, host: str) -> Job:
    """Return the job after the copy of file number ``at`` began in process ``pid``."""
    _expect(job, at, FileState.READY)
    file = replace(
        job.files[at],
        file_state=FileState.ACTIVE,
        reason="",
        start_time=now,
        pid=pid,
        transfer_host=host,
        filesize=0,
        timeout_s=0,
        tx_duration=0.0,
        throughput=0.0,
        recoverable=False,
    )
    return _follow(_with_file(job, at, file), now)


def prepared(job: Job, at: int, filesize: int, timeout_s: int) -> Job:
    """Return the job after the source of an active file was seen; other states stay as they are."""
    if job.files[at].file_state is not FileState.ACTIVE:
        return job
    return _with_file(job, at, replace(job.files[at], filesize=filesize, timeout_s=timeout_s))


def ended(job: Job, at: int, ending: Ending, now: str) -> Job:
    """Return the job after an attempt at file number ``at`` ended.

    What was canceled meanwhile stays canceled and only learns its finish time. A recoverable failure
    goes back to the queue while the job has retries left; in a multi-source job the next source is
    tried instead.
    """
    file = job.files[at]
    if file.file_state is FileState.CANCELED:
        return _with_file(job, at, replace(file, finish_time=file.finish_time or now))
    if file.file_state in FINAL_FILE_STATES:
        raise ValueError(f"file {at} of job {job.job_id} is {file.file_state} already")
    measured = replace(
        file,
        reason=ending.reason,
        filesize=ending.filesize,
        tx_duration=round(ending.duration_s, 3),
        transfer_type=ending.transfer_type,
        recoverable=ending.recoverable,
    )
    if ending.reason:
        return _failed(job, at, measured, now)
    throughput = ending.filesize / 2**20 / ending.duration_s if ending.duration_s else 0.0
    file = replace(measured, file_state=FileState.FINISHED, finish_time=now, throughput=round(throughput, 6))
    job = _with_file(job, at, file)
    if job.job_type is JobType.MULTI_HOP:
        job = _next_in_turn(job)
    return _follow(job, now)


def canceled(job: Job, now: str) -> Job:
    """Return the job after its owner canceled it; a final job stays as it is.

    A running file learns its finish time when its copy has really ended; one that is not in turn
    stays NOT_USED.
    """
    if job.is_final:
        return job
    files = tuple(
        replace(
            file,
            file_state=FileState.CANCELED,
            reason=CANCELED_BY_USER,
            finish_time=None if file.pid is not None else now,
        )
        if file.file_state in UNFINISHED_STATES
        else file
        for file in job.files
    )
    return replace(
        job,
        files=files,
        job_state=JobState.CANCELED,
        cancel_job=True,
        reason=CANCELED_BY_USER,
        job_finished=now,
    )


def prioritised(job: Job, priority: int) -> Job:
    """Return the job with another priority, which its files share; a final job stays as it is."""
    if job.is_final:
        return job
    files = tuple(replace(file, priority=priority) for file in job.files)
    return replace(job, priority=priority, files=files)


def staging_began(job: Job, at: int, now: str, host: str) -> Job:
    """Return the job after its source was asked to bring file number ``at`` online."""
    _expect(job, at, FileState.STAGING)
    file = replace(
        job.files[at],
        file_state=FileState.STARTED,
        start_time=now,
        staging_start=now,
        transfer_host=host,
    )
    return _with_file(job, at, file)


def staging_failed(job: Job, at: int, reason: str, now: str) -> Job:
    """Return the job after file number ``at`` could not be brought online."""
    _expect(job, at, FileState.STARTED)
    return _failed(job, at, replace(job.files[at], reason=reason, staging_finished=now), now, retries=0)


def recovered(job: Job, now: str, died: Ending) -> Job:
    """Return the job as it goes on after the service was restarted.

    What had only been handed out is queued again. A copy that was cut off is queued again where the
    job may overwrite its own leftovers, and has failed with ``died`` where it may not.
    """
    for at, file in enumerate(job.files):
        if file.file_state is FileState.CANCELED and file.finish_time is None:
            job = _with_file(job, at, replace(file, finish_time=now))
        elif file.file_state is FileState.STARTED:
            job = _with_file(job, at, replace(file, file_state=FileState.STAGING))
        elif file.file_state is FileState.ACTIVE and not may_overwrite(job, at):
            job = ended(job, at, died, now)
        elif file.file_state in (FileState.READY, FileState.ACTIVE):
            job = _with_file(job, at, replace(file, file_state=FileState.SUBMITTED, pid=None))
    return job


def may_overwrite(job: Job, at: int) -> bool:
    """Return whether file number ``at`` may replace what is at its destination.

    The flags are FTS3's: Y always, D what is not on tape (nothing here is), R in a retry, M in every
    hop but the last.
    """
    match job.overwrite_flag:
        case "Y" | "D":
            return True
        case "R":
            return job.files[at].retry > 0
        case "M":
            return at < len(job.files) - 1
    return False


def _failed(job: Job, at: int, file: File, now: str, retries: int | None = None) -> Job:
    retries = job.retry if retries is None else retries
    if file.recoverable and file.retry < retries and job.job_type is not JobType.MULTI_SOURCE:
        again = replace(file, file_state=FileState.SUBMITTED, retry=file.retry + 1, pid=None)
        return _follow(_with_file(job, at, again), now)
    job = _with_file(job, at, replace(file, file_state=FileState.FAILED, finish_time=now))
    if job.job_type is JobType.MULTI_SOURCE:
        job = _next_in_turn(job)
    return _follow(job, now)


def _next_in_turn(job: Job) -> Job:
    """Queue the first file that was not in turn yet."""
    wants_staging = job.job_type is JobType.MULTI_SOURCE and max(job.copy_pin_lifetime, job.bring_online) > 0
    state = FileState.STAGING if wants_staging else FileState.SUBMITTED
    for at, file in enumerate(job.files):
        if file.file_state is FileState.NOT_USED:
            return _with_file(job, at, replace(file, file_state=state))
    return job


def _follow(job: Job, now: str | None) -> Job:
    """Return the job with the state that follows from its files."""
    if job.is_final:
        return job
    states = {file.file_state for file in job.files}
    if states & STAGING_STATES:
        return job
    if states & UNFINISHED_STATES:
        begun = states - {FileState.SUBMITTED, FileState.NOT_USED}
        return replace(job, job_state=JobState.ACTIVE) if begun else job
    finished, failed = FileState.FINISHED in states, FileState.FAILED in states
    if finished and (not failed or job.job_type is JobType.MULTI_SOURCE):
        return replace(job, job_state=JobState.FINISHED, reason="", job_finished=now)
    state = JobState.FINISHEDDIRTY if finished else JobState.FAILED
    return replace(job, job_state=state, reason=FILES_FAILED, job_finished=now)


def _with_file(job: Job, at: int, file: File) -> Job:
    return replace(job, files=(*job.files[:at], file, *job.files[at + 1 :]))


def _expect(job: Job, at: int, state: FileState) -> None:
    if job.files[at].file_state is not state:
        raise ValueError(f"file {at} of job {job.job_id} is {job.files[at].file_state}, not {state}")
