"""Hold what the journal, Rucio and the storages say of the same thing against each other. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from fdr.audit.finding import Fate, Finding, Sort
from fdr.audit.record import RecordedDataset, RecordedRule, Standing, Upload
from fdr.inventory import FileRecord
from fdr.model import Did, Ending

RUCIO = "Rucio"


@dataclass(frozen=True, slots=True)
class Bytes:
    """What a storage says of a file: its size, and its adler32."""

    size_bytes: int
    adler32: str

    def __str__(self) -> str:
        """Return both in words."""
        return f"{self.size_bytes} bytes, adler32 {self.adler32}"


# By RSE what lies there; None is nothing, an RSE that is missing could not be asked.
Seen = Mapping[str, Bytes | None]


@dataclass(frozen=True, slots=True)
class Compared:
    """What one file came to."""

    findings: tuple[Finding, ...]
    fate: Fate | None


def places(upload: Upload, record: FileRecord | None) -> frozenset[str]:
    """Return the RSEs to look at: those with an available replica, and where the file was to be put.

    A replica that Rucio itself calls anything but available, where the file was put, is not looked at.
    """
    if record is None:
        return frozenset({upload.rse})
    return record.rses | ({upload.rse} - record.other_states.keys())


def compare_file(
    upload: Upload, record: FileRecord | None, seen: Seen, dataset: Did, is_attached: bool, may_be_gone: bool
) -> Compared:
    """Say what is wrong with one file.

    ``is_attached`` tells whether Rucio has it in its dataset, ``may_be_gone`` whether a lifetime is over.
    """
    if record is None:
        return _unknown_to_rucio(upload, seen, may_be_gone)
    findings = [*_record(upload, record), *_replicas(upload, record, seen)]
    fate = Fate.UNKNOWN_REGISTERED if upload.standing is Standing.UNKNOWN else None
    if upload.standing is Standing.REGISTERED:
        states = ", ".join(f"{state} at {rse}" for rse, state in sorted(record.other_states.items()))
        if not record.rses and may_be_gone:
            fate = Fate.EXPIRED
        elif not record.rses:
            findings.append(_finding(Sort.LOST, upload, upload.rse, "a replica", states or "no replica"))
        elif upload.rse not in {*record.rses, *record.other_states}:
            fate = Fate.ELSEWHERE
        if not is_attached and not may_be_gone:
            findings.append(_finding(Sort.LOST, upload, str(dataset), "in this dataset", "not in it"))
    return Compared(tuple(findings), fate)


def strangers(dataset: Did, contents: Collection[Did], own: Collection[Did]) -> list[Finding]:
    """Name the files of a dataset that the journal never meant to be in it."""
    return [
        Finding(Sort.UNRECORDED, "file", str(did), str(dataset), "not in this dataset", "attached to it")
        for did in sorted(set(contents) - set(own), key=str)
    ]


def compare_datasets(
    recorded: Iterable[RecordedDataset], known: Collection[Did], now: float
) -> tuple[list[Finding], int]:
    """Return what is wrong with the run's datasets, and how many have gone after a lifetime was over."""
    recorded = list(recorded)
    findings = []
    expired = 0
    for dataset in recorded:
        if dataset.ending is not Ending.OK or dataset.did in known:
            continue
        if now >= dataset.may_go_at:
            expired += 1
        else:
            name = str(dataset.did)
            findings.append(Finding(Sort.LOST, "dataset", name, RUCIO, "created", "unknown to Rucio"))
    never = {dataset.did for dataset in recorded if dataset.ending in {Ending.FAILED, Ending.DROPPED}}
    extra = (set(known) - {dataset.did for dataset in recorded}) | (set(known) & never)
    findings += [
        Finding(Sort.UNRECORDED, "dataset", str(did), RUCIO, "not created by this run", "is there")
        for did in sorted(extra, key=str)
    ]
    return findings, expired


def compare_rules(
    recorded: Iterable[RecordedRule], known: Mapping[str, Did], now: float
) -> tuple[list[Finding], int]:
    """Return what is wrong with the run's rules, and how many have gone after a lifetime was over.

    ``known`` are the rules that Rucio has on DIDs of the run, by id. One on a dataset of which a rule's
    ending is unknown to the journal is taken for that rule.
    """
    recorded = list(recorded)
    findings = []
    expired = 0
    for rule in recorded:
        if rule.ending is not Ending.OK or rule.rule_id in known:
            continue
        if now >= rule.may_go_at:
            expired += 1
        else:
            name = f"{rule.rule_id} on {rule.did}"
            findings.append(Finding(Sort.LOST, "rule", name, RUCIO, f"to {rule.to}", "unknown to Rucio"))
    unsettled = Counter(rule.did for rule in recorded if rule.ending in {None, Ending.UNKNOWN})
    own = {rule.rule_id for rule in recorded if rule.ending is Ending.OK}
    for rule_id, did in sorted(known.items()):
        if rule_id in own:
            continue
        if unsettled[did]:
            unsettled[did] -= 1
            continue
        name = f"{rule_id} on {did}"
        findings.append(Finding(Sort.UNRECORDED, "rule", name, RUCIO, "not added by this run", "is there"))
    return findings, expired


def _unknown_to_rucio(upload: Upload, seen: Seen, may_be_gone: bool) -> Compared:
    findings = []
    fate = None
    found = seen.get(upload.rse)
    if upload.standing is Standing.REGISTERED and may_be_gone:
        fate = Fate.EXPIRED
    elif upload.standing is Standing.REGISTERED:
        findings.append(_finding(Sort.LOST, upload, RUCIO, "registered", "unknown to Rucio"))
    elif upload.standing is Standing.UNKNOWN and upload.rse not in seen:
        fate = Fate.UNKNOWN_UNSEEN
    elif upload.standing is Standing.UNKNOWN:
        fate = Fate.UNKNOWN_NOWHERE if found is None else Fate.UNKNOWN_ON_STORAGE
    if found is not None:
        findings.append(_finding(Sort.DARK, upload, upload.rse, "registered, or nothing", str(found)))
    return Compared(tuple(findings), fate)


def _record(upload: Upload, record: FileRecord) -> Iterable[Finding]:
    """Hold Rucio's record of a file against the journal's."""
    if upload.standing in {Standing.NOT_PUT, Standing.UNREGISTERED}:
        yield _finding(Sort.UNRECORDED, upload, RUCIO, "not registered by this run", "registered")
    known = Bytes(record.size_bytes, record.adler32)
    expected = Bytes(upload.size_bytes, upload.adler32 or record.adler32)
    if known != expected:
        yield _finding(Sort.WRONG, upload, RUCIO, str(expected), str(known))


def _replicas(upload: Upload, record: FileRecord, seen: Seen) -> Iterable[Finding]:
    """Hold what lies at the RSEs against Rucio's record of it."""
    expected = Bytes(record.size_bytes, record.adler32)
    for rse, found in sorted(seen.items()):
        if rse in record.rses and found is None:
            yield _finding(Sort.LOST, upload, rse, str(expected), "not on the storage")
        elif rse in record.rses and found != expected:
            yield _finding(Sort.WRONG, upload, rse, str(expected), str(found))
        elif rse not in record.rses and found is not None:
            yield _finding(Sort.DARK, upload, rse, "no replica at this RSE", str(found))


def _finding(sort: Sort, upload: Upload, where: str, expected: str, observed: str) -> Finding:
    return Finding(sort, "file", str(upload.did), where, expected, observed)
