"""The JSON that FTS3 answers for jobs and files. Pure."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from fdr.lake.fts.job import File, FileState, Job
from fdr.lake.fts.submission import BASE_ID

OWN_FILE_FIELDS = {"timeout_s", "transfer_type"}
METADATA_FIELDS = ("file_metadata", "staging_metadata", "archive_metadata")
STORED_FILE_FIELDS = tuple(field.name for field in fields(File) if field.name not in OWN_FILE_FIELDS)
STORED_JOB_FIELDS = tuple(field.name for field in fields(Job) if field.name not in ("files", "job_metadata"))
# What FTS3 has columns for and nothing here ever sets.
EMPTY_FILE_FIELDS = dict.fromkeys(
    (
        "archive_finish_time",
        "archive_start_time",
        "bringonline_token",
        "dest_surl_uuid",
        "dst_token_id",
        "log_file",
        "src_token_id",
        "staging_host",
    )
)
EMPTY_JOB_FIELDS = dict.fromkeys(
    ("destination_spacetoken", "max_time_in_queue", "os_project_id", "source_spacetoken", "target_qos")
)
COPY_STATES = frozenset({FileState.ACTIVE, FileState.FINISHED, FileState.FAILED, FileState.CANCELED})


class Owner:
    """Whom the service takes every client for: it has no authentication, it listens on loopback only."""

    def __init__(self, vo: str, user_dn: str) -> None:
        """Take the virtual organisation and the distinguished name."""
        self.vo = vo
        self.user_dn = user_dn
        self.delegation_id = uuid.uuid5(BASE_ID, user_dn).hex[:16]

    def whoami(self) -> dict[str, Any]:
        """Return the answer to ``GET /whoami``."""
        return {
            "user_dn": self.user_dn,
            "dn": [self.user_dn],
            "base_id": str(BASE_ID),
            "voms_cred": [f"/{self.vo}/Role=NULL/Capability=NULL"],
            "vos": [self.vo],
            "vos_id": [str(uuid.uuid5(BASE_ID, self.vo))],
            "roles": [],
            "level": dict.fromkeys(("transfer", "deleg", "config", "datamanagement"), "all"),
            "delegation_id": self.delegation_id,
            "method": "certificate",
            "is_root": False,
        }


def job_text(job: Job, owner: Owner, extra: Mapping[str, Any], files: str | None = None) -> str:
    """Return a job as JSON text, with ``extra`` members, and its files where they are given as text."""
    members: dict[str, Any] = {name: getattr(job, name) for name in STORED_JOB_FIELDS}
    members |= EMPTY_JOB_FIELDS
    members |= {
        "user_dn": owner.user_dn,
        "cred_id": owner.delegation_id,
        "vo_name": owner.vo,
        "submit_host": "localhost",
        **extra,
    }
    spliced = {"job_metadata": job.job_metadata}
    if files is not None:
        spliced["files"] = files
    return _spliced(members, spliced)


def files_text(files: Iterable[File], owner: Owner, wanted: Iterable[str] | None = None) -> str:
    """Return files as a JSON array, each with the ``wanted`` fields FTS3 knows, or with all."""
    names = None if wanted is None else tuple(dict.fromkeys(wanted))
    return "[" + ", ".join(_file_text(file, owner, names) for file in files) + "]"


def unknown_job(job_id: str) -> dict[str, str]:
    """Return what stands in for a job that is not known, where jobs are asked for by id."""
    return {
        "job_id": job_id,
        "http_status": "404 Not Found",
        "http_message": f'No job with the id "{job_id}" has been found',
    }


def _file_text(file: File, owner: Owner, names: tuple[str, ...] | None) -> str:
    if names is None:
        members = _all_fields(file, owner)
    else:
        members = {name: getattr(file, name) for name in names if name in STORED_FILE_FIELDS}
        if len(members) < len(names):
            every = _all_fields(file, owner)
            members = {name: every[name] for name in names if name in every}
    spliced = {name: members.pop(name) or "null" for name in METADATA_FIELDS if name in members}
    return _spliced(members, spliced)


def _all_fields(file: File, owner: Owner) -> dict[str, Any]:
    members = {name: getattr(file, name) for name in STORED_FILE_FIELDS} | EMPTY_FILE_FIELDS
    copied = file.pid is not None and file.file_state in COPY_STATES
    return members | {
        "vo_name": owner.vo,
        "file_state_initial": "",
        "log_debug": 0 if copied else None,
        "internal_file_params": f"nostreams:1,timeout:{file.timeout_s},buffersize:0" if copied else None,
    }


def _spliced(members: Mapping[str, Any], texts: Mapping[str, str]) -> str:
    """Return a JSON object; ``texts`` are members that are JSON already."""
    parts = [json.dumps(members)[1:-1], *(f'"{name}": {text}' for name, text in texts.items())]
    return "{" + ", ".join(part for part in parts if part) + "}"
