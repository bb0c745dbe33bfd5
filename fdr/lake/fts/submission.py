"""Turn what was posted to ``/jobs`` into a job, or refuse it in the words of FTS3. Pure."""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Collection, Mapping
from typing import Any

from fdr.lake.fts.job import File, FileState, Job, JobState, JobType
from fdr.lake.fts.urls import check_url, storage, with_activity

BASE_ID = uuid.UUID("01874efb-4735-4595-bc9c-591aef8240c9")
METADATA_LIMIT = 4096
STRATEGIES = frozenset(
    {
        "auto",
        "duration",
        "file-throughput",
        "orderly",
        "pending-data",
        "queue",
        "success",
        "throughput",
        "waiting-time",
        "waiting-time-with-error",
    }
)
OVERWRITE_FLAGS = {
    "overwrite": "Y",
    "overwrite_on_retry": "R",
    "overwrite_hop": "M",
    "overwrite_when_only_on_disk": "D",
}
MULTIPLE_AND_MULTIHOP = (
    "Can not request multiple replica job together with multihop or session reuse at the same time"
)


class Refusal(Exception):
    """A request that FTS3 answers with an error: HTTP status and message."""

    def __init__(self, status: int, message: str) -> None:
        """Take the HTTP status and the message."""
        super().__init__(message)
        self.status = status
        self.message = message


def job_from(body: Any, vo: str, now: str, banned: Collection[str] = ()) -> Job:
    """Return the job that a submission asks for; raises Refusal (400, or 403 for a banned storage).

    Its id is random, or follows from ``vo`` and ``params.sid`` where
    ``params.id_generator`` is ``deterministic``: uuid5(uuid5(BASE_ID, vo), sid).
    """
    if not isinstance(body, dict):
        raise Refusal(400, "Badly formatted JSON request")
    try:
        job = _job(body, vo, now)
    except ValueError as error:
        raise Refusal(400, f"Invalid value within the request: {error}") from error
    except (TypeError, AttributeError) as error:
        raise Refusal(400, f"Malformed request: {error}") from error
    except KeyError as error:
        raise Refusal(400, f"Missing parameter: {error}") from error
    for file in job.files:
        for se in (file.source_se, file.dest_se):
            if se in banned:
                raise Refusal(403, f"{se} is banned")
    return job


def _job(body: Mapping[str, Any], vo: str, now: str) -> Job:
    params = {key: value for key, value in (body.get("params") or {}).items() if value is not None}
    if params.get("overwrite") and params.get("overwrite_when_only_on_disk"):
        raise Refusal(400, "Incompatible overwrite flags used at the same time")
    entries = body.get("files")
    if entries is None:
        raise Refusal(400, "No transfers operations specified")
    pin, online = _number(params, "copy_pin_lifetime"), _number(params, "bring_online")
    staging, multihop = max(pin, online) > 0, bool(params.get("multihop"))
    priority = max(min(int(params.get("priority", 3)), 5), 1)
    job_id = _job_id(params, vo)
    files = [
        file
        for index, entry in enumerate(entries)
        for file in _files(entry, index, job_id, priority, staging, multihop)
    ]
    if not files:
        raise Refusal(400, "No valid pairs available")
    several = len(files) > len({file.file_index for file in files})
    if several and (multihop or params.get("reuse")):
        raise Refusal(400, MULTIPLE_AND_MULTIHOP)
    if several and files[-1].file_index > 0:
        raise Refusal(400, "Multiple replica jobs must only have one unique file")
    sources, destinations = {file.source_se for file in files}, {file.dest_se for file in files}
    return Job(
        job_id=job_id,
        job_type=JobType.MULTI_HOP if multihop else JobType.MULTI_SOURCE if several else JobType.NORMAL,
        job_state=JobState.STAGING if staging else JobState.SUBMITTED,
        submit_time=now,
        priority=priority,
        source_se=files[0].source_se if multihop or len(sources) == 1 else None,
        dest_se=files[-1].dest_se if multihop or len(destinations) == 1 else None,
        verify_checksum=_verify(params.get("verify_checksum", False), files),
        overwrite_flag=_overwrite_flag(params),
        job_metadata=_job_metadata(params.get("job_metadata")),
        files=tuple(files),
        retry=int(params.get("retry", 0)),
        retry_delay=int(params.get("retry_delay", 0)),
        copy_pin_lifetime=pin,
        bring_online=online,
        archive_timeout=_number(params, "archive_timeout"),
        dst_file_report=_flag(params.get("dst_file_report", False)),
        internal_job_params=_internal_params(params),
    )


def _files(
    entry: Mapping[str, Any], index: int, job_id: str, priority: int, staging: bool, multihop: bool
) -> list[File]:
    """Return the transfers of one entry: every source to every destination."""
    activity = entry.get("activity", "default")
    strategy = entry.get("selection_strategy", "auto")
    sources = [check_url(url) for url in entry["sources"]]
    if len(sources) > 1 and strategy not in STRATEGIES:
        raise Refusal(400, f"{strategy} algorithm is not supported by Scheduler")
    if staging:
        sources = [with_activity(url, activity) for url in sources]
    first = FileState.STAGING if staging else FileState.SUBMITTED
    files: list[File] = []
    for source in sources:
        for destination in map(check_url, entry["destinations"]):
            waits = (multihop and index > 0) or (len(sources) > 1 and files)
            files.append(
                File(
                    job_id=job_id,
                    file_index=index,
                    source_surl=source,
                    dest_surl=destination,
                    source_se=storage(source),
                    dest_se=storage(destination),
                    file_state=FileState.NOT_USED if waits else first,
                    priority=priority,
                    checksum=entry.get("checksum") or "ADLER32",
                    user_filesize=int(entry.get("filesize") or 0),
                    selection_strategy=strategy,
                    activity=activity,
                    file_metadata=_metadata(entry.get("metadata")) or "null",
                    hashed_id=zlib.crc32(f"{job_id}{0 if multihop else index}".encode()) & 0xFFFF,
                    scitag=entry.get("scitag"),
                    staging_metadata=_metadata(entry.get("staging_metadata")),
                    archive_metadata=_metadata(entry.get("archive_metadata")),
                )
            )
    return files


def _job_id(params: Mapping[str, Any], vo: str) -> str:
    if params.get("id_generator", "standard") != "deterministic":
        return str(uuid.uuid1())
    if params.get("sid") is None:
        raise Refusal(400, "Need sid for deterministic job id generation")
    return str(uuid.uuid5(uuid.uuid5(BASE_ID, vo), str(params["sid"])))


def _metadata(value: Any) -> str | None:
    """Return metadata as JSON text; a text that is not JSON becomes a label, as in FTS3."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = {"label": value}
    text = json.dumps(value)
    if len(text) > METADATA_LIMIT:
        raise ValueError(f"Job Submission Refused, metadata exceeds size limit of {METADATA_LIMIT}")
    return text


def _job_metadata(value: Any) -> str:
    metadata = json.loads(_metadata(value) or "{}")
    if not isinstance(metadata, dict):
        metadata = {"label": str(metadata)}
    return json.dumps({**metadata, "auth_method": "certificate"})


def _verify(asked: Any, files: Collection[File]) -> str:
    """Return b, s, t or n: compare checksums at both ends, the source, the target, or nowhere."""
    if isinstance(asked, bool):
        given = any(":" in file.checksum for file in files)
        asked = "both" if asked else "target" if given else "none"
    return str(asked)[:1]


def _overwrite_flag(params: Mapping[str, Any]) -> str | None:
    return next((flag for key, flag in OVERWRITE_FLAGS.items() if params.get(key)), None)


def _internal_params(params: Mapping[str, Any]) -> str | None:
    numbers = {"nostreams": "nostreams", "timeout": "timeout", "buffer_size": "buffersize"}
    words = [f"{word}:{int(params[key])}" for key, word in numbers.items() if params.get(key)]
    words += ["strict"] if params.get("strict_copy") else []
    words += ["ipv4"] if params.get("ipv4") else ["ipv6"] if params.get("ipv6") else []
    words += ["s3alternate"] if params.get("s3alternate") else []
    return ",".join(words) or None


def _number(params: Mapping[str, Any], key: str) -> int:
    try:
        return int(params.get(key, -1))
    except (TypeError, ValueError):
        return -1


def _flag(value: Any) -> bool:
    return value[:1].upper() == "Y" if isinstance(value, str) else bool(value)
