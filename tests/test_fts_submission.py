"""What the FTS stand-in takes, and in which words it refuses the rest."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from fdr.lake.fts.submission import BASE_ID, Refusal, job_from
from fdr.lake.fts.urls import is_same_file, storage

NOW = "2026-01-02T03:04:05"


def one(**params: Any) -> dict[str, Any]:
    """Return a submission of one file."""
    file = {"sources": ["root://127.0.1.1:1094//rucio/a"], "destinations": ["root://127.0.1.2:1094//rucio/a"]}
    return {"files": [file], "params": params}


def test_a_deterministic_id_follows_from_vo_and_sid() -> None:
    """Rucio computes the same id, so that a submission whose answer was lost can be found again."""
    job = job_from(one(id_generator="deterministic", sid="abc"), "fdr", NOW)
    assert job.job_id == str(uuid.uuid5(uuid.uuid5(BASE_ID, "fdr"), "abc"))
    assert job_from(one(), "fdr", NOW).job_id != job_from(one(), "fdr", NOW).job_id


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "Badly formatted JSON request"),
        ({}, "No transfers operations specified"),
        ({"files": []}, "No valid pairs available"),
        ({"files": [{"sources": ["root://h//a"]}]}, "Missing parameter: 'destinations'"),
        ({"files": ["root://h//a"]}, "Malformed request"),
        ({"files": [{"sources": ["file:///etc/passwd"], "destinations": ["root://h//a"]}]}, "local files"),
        ({"files": [{"sources": ["root://h"], "destinations": ["root://h//a"]}]}, "Missing path"),
        ({"files": [{"sources": ["root://h:x//a"], "destinations": ["root://h//a"]}]}, "Invalid value"),
        (one(priority="high"), "Invalid value"),
        (one(id_generator="deterministic"), "Need sid"),
    ],
)
def test_a_bad_submission_is_refused_in_one_sentence(body: Any, message: str) -> None:
    """It is 400 and no traceback, whatever was sent."""
    with pytest.raises(Refusal, match=message) as refused:
        job_from(body, "fdr", NOW)
    assert refused.value.status == 400


def test_a_banned_storage_takes_no_new_jobs() -> None:
    """At either end; another storage is not concerned."""
    for banned in ("root://127.0.1.1", "root://127.0.1.2"):
        with pytest.raises(Refusal, match="is banned") as refused:
            job_from(one(), "fdr", NOW, {banned})
        assert refused.value.status == 403
    job_from(one(), "fdr", NOW, {"davs://127.0.1.1"})


def test_a_storage_is_told_by_scheme_and_host_without_the_port() -> None:
    """So links and limits are those of FTS3."""
    assert storage("davs://127.0.1.3:8443/rucio/a") == "davs://127.0.1.3"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("root://h:1094//rucio/a", "root://h//rucio/a", True),
        ("root://h:1094//rucio/a", "root://h:1094/rucio//a", True),
        ("root://h:1094//rucio/a", "davs://h:443/rucio/a", True),
        ("root://h:1094//rucio/a", "root://h:1095//rucio/a", False),
        ("root://h//rucio/a", "root://g//rucio/a", False),
        ("root://h//rucio/a", "root://h//rucio/b", False),
    ],
)
def test_two_names_of_one_file_are_recognised(one: str, other: str, same: bool) -> None:
    """A copy onto itself would delete the file, so it is better to refuse one too many."""
    assert is_same_file(one, other) is same
    assert is_same_file(other, one) is same
