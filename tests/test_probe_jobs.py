"""FTS is asked as it wants to be asked, and its answers are understood; both held to FTS3's own words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fdr.lake.fts.submission import BASE_ID, Refusal, job_from
from fdr.probe.jobs import UNKNOWN, Identity, JobState, identity_from, sid_of, states_from, submission
from fdr.probe.plan import Copy

VO = "lab"
ID = "20261127T210000-7f3a"
COPY = Copy("A", "B", "https://fts", "root://a//f", "root://b//f", None, "both")
WHO = {"base_id": str(BASE_ID), "vos": [VO], "delegation_id": "d7f6c697c39552dc"}


def body(copy: Copy = COPY, token: str | None = None, *, derives_ids: bool = True) -> dict[str, Any]:
    return submission(ID, copy, 1_000_000, "0badcafe", 300.0, token, derives_ids=derives_ids)


def taken(asked: dict[str, Any]) -> Any:
    """Return the job that FTS makes of a submission."""
    return job_from(json.loads(json.dumps(asked)), VO, "2026-11-27T21:00:00")


def test_the_id_of_a_job_is_known_before_it_is_submitted() -> None:
    """So that it can be cancelled though nobody heard the answer; pairs and probes have their own."""
    expected = identity_from(WHO).job_id(sid_of(ID, COPY))
    assert taken(body()).job_id == expected
    other = Copy("B", "A")
    assert (
        len(
            {
                expected,
                identity_from(WHO).job_id(sid_of(ID, other)),
                identity_from(WHO).job_id(sid_of("x", COPY)),
            }
        )
        == 3
    )


@pytest.mark.parametrize(
    "answer", [{}, {"base_id": "no uuid", "vos": [VO]}, {"base_id": str(BASE_ID)}, [], None]
)
def test_an_fts_that_derives_no_ids_is_no_obstacle(answer: Any) -> None:
    """Then it is told afterwards."""
    identity = identity_from(answer)
    assert identity.job_id(sid_of(ID, COPY)) == ""
    assert "sid" not in body(derives_ids=False)["params"]


def test_a_job_is_what_rucio_would_submit_but_is_not_tried_again() -> None:
    """One file, its checksum compared, in the place of what is there; a failure is told at once."""
    job = taken(body())
    (file,) = job.files
    assert (file.source_surl, file.dest_surl, file.checksum) == (
        "root://a//f",
        "root://b//f",
        "ADLER32:0badcafe",
    )
    assert (job.verify_checksum, job.overwrite_flag, job.retry) == ("b", "Y", -1)
    assert "timeout:300" in (job.internal_job_params or "")
    unsummed = body(Copy("A", "B", "https://fts", "root://a//f", "root://b//f"))
    assert taken(unsummed).verify_checksum == "n"
    assert "checksum" not in unsummed["files"][0]


def test_the_tokens_of_storages_go_with_the_job_and_nowhere_else() -> None:
    """Only where FTS itself is asked with a token."""
    (file,) = body(token="t0ken")["files"]
    assert (file["source_tokens"], file["destination_tokens"]) == (["t0ken"], ["t0ken"])
    assert "t0ken" not in json.dumps(body())


def test_nothing_that_fts_refuses_is_asked_for() -> None:
    """The check can fail: without a file it would."""
    with pytest.raises(Refusal):
        taken(body() | {"files": []})


def answer(state: str, **file: Any) -> dict[str, Any]:
    return {"job_id": "j", "job_state": state, "http_status": "200 Ok", "files": [file], "reason": None}


@pytest.mark.parametrize(
    ("told", "is_over"),
    [
        (answer("SUBMITTED", file_state="SUBMITTED", reason=None, start_time=None, finish_time=None), False),
        (
            answer(
                "ACTIVE", file_state="ACTIVE", reason="", start_time="2026-11-27T21:00:00", finish_time=None
            ),
            False,
        ),
        (answer("CANCELED", start_time="2026-11-27T21:00:00", finish_time=None), False),
        (answer("CANCELED", start_time="2026-11-27T21:00:00", finish_time="2026-11-27T21:00:05"), True),
        (answer("CANCELED", start_time=None, finish_time=None), True),
        (answer("FINISHED", start_time="2026-11-27T21:00:00", finish_time="2026-11-27T21:00:05"), True),
        ({"job_id": "j", "http_status": "404 Not Found", "http_message": "No job"}, True),
    ],
)
def test_a_job_is_over_when_nothing_more_happens(told: dict[str, Any], is_over: bool) -> None:
    """One that was cancelled while it copied may still write until FTS knows when it ended."""
    assert states_from(told)["j"].is_over is is_over
    assert states_from([told]) == states_from(told)


def test_the_reason_is_that_of_the_file() -> None:
    """The job's own only says that a file failed; line breaks do not matter."""
    told = answer("FAILED", reason="SOURCE [2] No such\n file\x00") | {"reason": "One or more files failed."}
    assert states_from(told)["j"].reason == "SOURCE [2] No such file"
    assert states_from({"job_id": "k", "http_message": "No job"})["k"] == JobState(UNKNOWN, "No job")
    assert states_from([{"message": "?"}, "?"]) == {}
    assert identity_from(WHO) == Identity(str(BASE_ID), VO, "d7f6c697c39552dc")
