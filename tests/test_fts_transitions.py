"""How a job of the FTS stand-in goes on, whatever happens to its files and in whatever order."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdr.lake.fts import transitions
from fdr.lake.fts.job import (
    FINAL_FILE_STATES,
    FINAL_JOB_STATES,
    UNFINISHED_STATES,
    Ending,
    FileState,
    Job,
    JobState,
    JobType,
)
from fdr.lake.fts.submission import job_from

NOW = "2026-01-02T03:04:05"
LATER = "2026-01-02T03:04:06"
OK = Ending(filesize=10, duration_s=1.0, transfer_type="3rd pull")
GONE = Ending("SOURCE [2] Failed to stat file (No such file or directory)")
FLAKY = Ending("TRANSFER [5] A glitch", recoverable=True)
VECTORS = Path(__file__).parent / "fts_vectors" / "exchanges.json"
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["hand out", "start", "ok", "gone", "flaky", "cancel", "stage", "restart"]),
        st.integers(0, 5),
    ),
    max_size=60,
)


def body(kind: JobType, count: int, **params: Any) -> dict[str, Any]:
    """Return a submission of ``count`` transfers."""
    sources = [f"root://127.0.1.{n + 1}:1094//rucio/x{n}" for n in range(count)]
    if kind is JobType.MULTI_SOURCE:
        files = [{"sources": sources, "destinations": ["root://127.0.9.9//rucio/x"]}]
    else:
        files = [
            {"sources": [s], "destinations": [f"root://127.0.9.9//rucio/{n}"]} for n, s in enumerate(sources)
        ]
    return {"files": files, "params": {"multihop": kind is JobType.MULTI_HOP, **params}}


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    """Draw a job of any type; one with several sources has two at least."""
    kind = draw(st.sampled_from(JobType))
    count = draw(st.integers(2 if kind is JobType.MULTI_SOURCE else 1, 5))
    params = {
        "retry": draw(st.integers(0, 2)),
        "overwrite": draw(st.booleans()),
        "overwrite_on_retry": draw(st.booleans()),
        "bring_online": draw(st.sampled_from([-1, 600])),
    }
    return job_from(body(kind, count, **params), "lab", NOW)


def step(job: Job, deed: str, at: int) -> Job:
    """Do one thing to a job where the state of the file allows it, as the queue does."""
    at %= len(job.files)
    match deed, job.files[at].file_state:
        case "hand out", FileState.SUBMITTED:
            job = transitions.handed_out(job, at)
        case "start", FileState.READY:
            job = transitions.started(job, at, NOW, 42, "localhost")
        case (("ok" | "gone" | "flaky"), (FileState.ACTIVE | FileState.CANCELED)):
            job = transitions.ended(job, at, {"ok": OK, "gone": GONE, "flaky": FLAKY}[deed], NOW)
        case "stage", FileState.STAGING:
            job = transitions.staging_began(job, at, NOW, "localhost")
        case "stage", FileState.STARTED:
            job = transitions.staging_failed(job, at, "STAGING [42] No", NOW)
        case "cancel", _:
            job = transitions.canceled(job, NOW)
        case "restart", _:
            job = transitions.recovered(job, NOW, FLAKY)
    return job


@given(jobs(), STEPS)
def test_what_is_final_never_changes_its_state(job: Job, steps: list[tuple[str, int]]) -> None:
    """A file or a job that has ended stays as it ended."""
    for deed, at in steps:
        after = step(job, deed, at)
        if job.is_final:
            assert after.job_state is job.job_state
            assert after.job_finished == job.job_finished
        for old, new in zip(job.files, after.files, strict=True):
            if old.file_state in FINAL_FILE_STATES:
                assert new.file_state is old.file_state
                assert new.reason == old.reason
        job = after


@given(jobs(), STEPS)
def test_a_job_is_final_exactly_when_none_of_its_files_can_go_on(
    job: Job, steps: list[tuple[str, int]]
) -> None:
    """The state of a job follows from its files, and its end has a time and a reason."""
    for deed, at in steps:
        job = step(job, deed, at)
        states = {file.file_state for file in job.files}
        assert job.is_final == (not states & UNFINISHED_STATES)
        assert job.is_final == (job.job_finished is not None)
        match job.job_state:
            case JobState.FINISHED:
                assert FileState.FINISHED in states
                assert FileState.FAILED not in states or job.job_type is JobType.MULTI_SOURCE
                assert job.reason == ""
            case JobState.FAILED:
                assert FileState.FAILED in states
                assert FileState.FINISHED not in states
            case JobState.FINISHEDDIRTY:
                assert {FileState.FINISHED, FileState.FAILED} <= states
            case JobState.CANCELED:
                assert job.cancel_job


@given(jobs(), STEPS)
def test_one_source_is_used_at_a_time_and_one_at_most_succeeds(
    job: Job, steps: list[tuple[str, int]]
) -> None:
    """Of several sources one is in turn; a multi-hop has one hop in turn."""
    for deed, at in steps:
        job = step(job, deed, at)
        if job.job_type is JobType.NORMAL:
            continue
        in_turn = [file for file in job.files if file.file_state in UNFINISHED_STATES]
        assert len(in_turn) <= 1
        if job.job_type is JobType.MULTI_SOURCE:
            assert sum(file.file_state is FileState.FINISHED for file in job.files) <= 1


@given(jobs(), STEPS)
def test_a_hop_begins_only_after_the_one_before_it_finished(job: Job, steps: list[tuple[str, int]]) -> None:
    """In a multi-hop everything before the hop in turn has finished, everything after is not used."""
    for deed, at in steps:
        job = step(job, deed, at)
        if job.job_type is not JobType.MULTI_HOP:
            continue
        states = [file.file_state for file in job.files]
        done = next((n for n, state in enumerate(states) if state is not FileState.FINISHED), len(states))
        assert all(state is FileState.NOT_USED for state in states[done + 1 :])


@given(jobs(), STEPS)
def test_a_final_file_knows_when_it_ended_and_a_failed_one_why(
    job: Job, steps: list[tuple[str, int]]
) -> None:
    """Only a canceled file whose copy still stops may wait for its finish time."""
    for deed, at in steps:
        job = step(job, deed, at)
        for file in job.files:
            assert (file.finish_time is not None) <= (file.file_state in FINAL_FILE_STATES)
            if file.file_state in (FileState.FINISHED, FileState.FAILED):
                assert file.finish_time is not None
            if file.file_state is FileState.FAILED:
                assert file.reason
            if file.file_state is FileState.FINISHED:
                assert file.reason == ""


@given(jobs())
def test_a_canceled_job_leaves_nothing_to_run(job: Job) -> None:
    """Cancel ends every file that has its turn, and leaves the rest NOT_USED."""
    canceled = transitions.canceled(job, LATER)
    assert canceled.job_state is JobState.CANCELED
    assert {file.file_state for file in canceled.files} <= {FileState.CANCELED, FileState.NOT_USED}


@given(jobs(), STEPS)
def test_after_a_restart_nothing_hangs_between_states(job: Job, steps: list[tuple[str, int]]) -> None:
    """What was handed out or active at the end of the service waits again or has failed."""
    for deed, at in steps:
        job = step(job, deed, at)
    job = transitions.recovered(job, LATER, FLAKY)
    states = {file.file_state for file in job.files}
    assert not states & {FileState.READY, FileState.ACTIVE, FileState.STARTED}
    assert all(file.finish_time for file in job.files if file.file_state is FileState.CANCELED)


def test_a_copy_that_was_cut_off_is_not_repeated_where_it_may_not_overwrite() -> None:
    """Its leftover could not be told from somebody else's file, so it has failed and says why."""
    for overwrite, state in ((True, FileState.SUBMITTED), (False, FileState.FAILED)):
        job = job_from(body(JobType.NORMAL, 1, overwrite=overwrite), "lab", NOW)
        job = transitions.started(transitions.handed_out(job, 0), 0, NOW, 42, "localhost")
        recovered = transitions.recovered(job, LATER, FLAKY)
        assert recovered.files[0].file_state is state


def test_a_recoverable_failure_is_retried_as_often_as_asked() -> None:
    """With two retries the third failure is the last; a lasting failure is never retried."""
    job = job_from(body(JobType.NORMAL, 1, retry=2), "lab", NOW)
    attempts = 0
    while not job.is_final:
        job = transitions.started(transitions.handed_out(job, 0), 0, NOW, 42, "localhost")
        job = transitions.ended(job, 0, FLAKY, NOW)
        attempts += 1
    assert attempts == 3
    job = job_from(body(JobType.NORMAL, 1, retry=2), "lab", NOW)
    job = transitions.started(transitions.handed_out(job, 0), 0, NOW, 42, "localhost")
    assert transitions.ended(job, 0, GONE, NOW).job_state is JobState.FAILED


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"overwrite": True}, [True, True, True]),
        ({"overwrite": False}, [False, False, False]),
        ({"overwrite_hop": True}, [True, True, False]),
        ({"overwrite_on_retry": True}, [False, False, False]),
    ],
)
def test_the_last_hop_overwrites_only_when_overwriting_is_allowed(
    params: dict[str, Any], expected: list[bool]
) -> None:
    """overwrite_hop spares the file that the user wants, overwrite_on_retry the first attempt."""
    job = job_from(body(JobType.MULTI_HOP, 3, **params), "lab", NOW)
    assert [transitions.may_overwrite(job, at) for at in range(3)] == expected


def test_states_follow_each_other_as_they_were_recorded() -> None:
    """Every state of the files seen in a real FTS3 comes by here too, in the same order."""
    recorded = json.loads(VECTORS.read_text())["exchanges"]
    checked = 0
    for submission, result in itertools.pairwise(recorded):
        if "states" not in submission or not isinstance(result["answer"], dict):
            continue
        job = job_from(submission["body"], "lab", NOW)
        if job.job_type is JobType.NORMAL and len(job.files) > 1:
            continue  # two copies at once may end in any order
        visited = _visited(job, [file["reason"] for file in result["answer"]["files"]])
        remaining = iter(visited)
        for states, _ in itertools.groupby(tuple(states) for _, states in submission["states"]):
            assert states in remaining, f"{submission['name']}: {states} not in {visited}"
        assert visited[-1] == tuple(submission["states"][-1][1])
        checked += 1
    assert checked >= 15


def _visited(job: Job, reasons: list[str | None]) -> list[tuple[str, ...]]:
    """Drive a job to its end with the recorded endings; return the states of its files on the way."""
    visited: list[tuple[str, ...]] = [tuple(file.file_state for file in job.files)]

    def note(changed: Job) -> Job:
        visited.append(tuple(file.file_state for file in changed.files))
        return changed

    while not job.is_final:
        at = next(n for n, file in enumerate(job.files) if file.file_state in UNFINISHED_STATES)
        if job.files[at].file_state is FileState.STAGING:
            job = note(transitions.staging_began(job, at, NOW, "localhost"))
            job = note(transitions.staging_failed(job, at, reasons[at] or "", NOW))
            continue
        job = note(transitions.handed_out(job, at))
        job = note(transitions.started(job, at, NOW, 42, "localhost"))
        job = note(transitions.ended(job, at, Ending(reasons[at] or "", filesize=1, duration_s=1.0), NOW))
    assert job.job_state in FINAL_JOB_STATES
    return visited
