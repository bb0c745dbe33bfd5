"""FTS jobs as values: what is submitted, under which id, and what FTS answers of it. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fdr.probe.plan import Copy
from fdr.storage.gfal_errors import plain

ACTIVITY = "Functional Test"
PRIORITY = 3  # FTS's own
NO_RETRY = -1  # 0 is the server's default
FINAL = frozenset({"FINISHED", "FINISHEDDIRTY", "FAILED", "CANCELED"})
FILE_FIELDS = "file_state,reason,start_time,finish_time"
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom an FTS takes us for; ``base`` is empty where it does not derive ids of jobs."""

    base: str
    vo: str
    delegation: str

    def job_id(self, sid: str) -> str:
        """Return the id that a job with this sid gets, empty where it will be told only afterwards."""
        if not (self.base and self.vo):
            return ""
        return str(uuid.uuid5(uuid.uuid5(uuid.UUID(self.base), self.vo), sid))


@dataclass(frozen=True, slots=True)
class JobState:
    """How a job of one file stands, in FTS's words; UNKNOWN where FTS knows none of this id."""

    state: str
    reason: str = ""
    started: str = ""
    finished: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens: a cancelled transfer goes on until FTS knows when it finished."""
        if self.state == UNKNOWN:
            return True
        return self.state in FINAL and (not self.started or bool(self.finished))


def identity_from(answer: Any) -> Identity:
    """Return whom ``GET /whoami`` says that we are."""
    told = answer if isinstance(answer, Mapping) else {}
    vos = told.get("vos") or [""]
    base = str(told.get("base_id") or "")
    try:
        uuid.UUID(base)
    except ValueError:
        base = ""
    return Identity(base, str(vos[0]), str(told.get("delegation_id") or ""))


def sid_of(probe: str, copy: Copy) -> str:
    """Return what the id of a copy's job is derived from."""
    return f"fdr probe {probe} {copy.src} {copy.dst}"


def submission(
    probe: str, copy: Copy, size_bytes: int, adler32: str, timeout_s: float, storage_token: str | None, *,
    derives_ids: bool,
) -> dict[str, Any]:  # fmt: skip
    """Return the body of ``POST /jobs`` for a copy, with the parameters that Rucio gives a disk's."""
    file: dict[str, Any] = {
        "sources": [copy.source],
        "destinations": [copy.destination],
        "filesize": size_bytes,
        "activity": ACTIVITY,
        "metadata": {"issuer": "fdr probe", "src_rse": copy.src, "dst_rse": copy.dst},
    }
    if copy.verify != "none":
        file["checksum"] = f"ADLER32:{adler32}"
    params: dict[str, Any] = {
        "verify_checksum": copy.verify,
        "overwrite": True,
        "retry": NO_RETRY,
        "timeout": max(1, int(timeout_s)),
        "priority": PRIORITY,
        "s3alternate": True,
        "job_metadata": {"issuer": "fdr probe", "probe": probe},
    }
    if derives_ids:
        params |= {"id_generator": "deterministic", "sid": sid_of(probe, copy)}
    if storage_token is not None:
        file |= {"source_tokens": [storage_token], "destination_tokens": [storage_token]}
        params["unmanaged_tokens"] = True
    return {"files": [file], "params": params}


def states_from(answer: Any) -> dict[str, JobState]:
    """Return how jobs stand by id, from what ``GET /jobs/ID[,ID…]?files=…`` answers: one job, or a list."""
    rows = answer if isinstance(answer, list) else [answer]
    return {str(row["job_id"]): _state(row) for row in rows if isinstance(row, Mapping) and row.get("job_id")}


def _state(row: Mapping[str, Any]) -> JobState:
    if "job_state" not in row:
        return JobState(UNKNOWN, str(row.get("http_message") or ""))
    files = row.get("files") or [{}]
    file: Mapping[str, Any] = files[0]
    return JobState(
        str(row["job_state"]),
        plain(str(file.get("reason") or row.get("reason") or "")),
        str(file.get("start_time") or ""),
        str(file.get("finish_time") or ""),
    )
