"""What is told lost, dark, wrong or unrecorded is that, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdr.audit.compare import (
    Bytes,
    Seen,
    compare_datasets,
    compare_file,
    compare_rules,
    places,
    strangers,
)
from fdr.audit.finding import Fate, Finding, Sort
from fdr.audit.record import RecordedDataset, RecordedRule, Standing, Upload
from fdr.inventory import FileRecord
from fdr.model import Did, Ending

DATASET = Did("cta", "run/CTA/dataset-00000")
FILE = Did("cta", "run/1.fits")
HOME, COPY = "PIC", "DESY"
BYTES = Bytes(100, "0a0b0c0d")
UPLOAD = Upload(FILE, HOME, 100, "0a0b0c0d", Standing.REGISTERED)
RECORD = FileRecord(FILE, 100, "0a0b0c0d", frozenset({HOME, COPY}))
SEEN: Seen = {HOME: BYTES, COPY: BYTES}
RULE_ID = "a" * 32


def compared(
    upload: Upload = UPLOAD,
    record: FileRecord | None = RECORD,
    seen: Seen = SEEN,
    *,
    is_attached: bool = True,
    may_be_gone: bool = False,
) -> tuple[list[tuple[Sort, str]], Fate | None]:
    """Return sort and place of what is found of one file, and its fate."""
    result = compare_file(upload, record, seen, DATASET, is_attached, may_be_gone)
    assert all(finding.name == str(FILE) for finding in result.findings)
    return [(finding.sort, finding.where) for finding in result.findings], result.fate


def test_a_file_that_is_everywhere_as_recorded_is_no_finding() -> None:
    """Nothing is said of what is in order."""
    assert compared() == ([], None)


@pytest.mark.parametrize(
    ("told", "findings"),
    [
        ({"record": None, "seen": {HOME: None}}, [(Sort.LOST, "Rucio")]),
        ({"record": None, "seen": {HOME: BYTES}}, [(Sort.LOST, "Rucio"), (Sort.DARK, HOME)]),
        ({"record": replace(RECORD, rses=frozenset()), "seen": {HOME: None}}, [(Sort.LOST, HOME)]),
        ({"record": replace(RECORD, rses=frozenset(), other_states={HOME: "BAD"}), "seen": {}},
         [(Sort.LOST, HOME)]),
        ({"seen": {HOME: None, COPY: BYTES}}, [(Sort.LOST, HOME)]),
        ({"seen": {HOME: BYTES, COPY: None}}, [(Sort.LOST, COPY)]),
        ({"seen": {HOME: Bytes(99, "0a0b0c0d"), COPY: BYTES}}, [(Sort.WRONG, HOME)]),
        ({"seen": {HOME: BYTES, COPY: Bytes(100, "00000001")}}, [(Sort.WRONG, COPY)]),
        ({"record": replace(RECORD, size_bytes=99), "seen": {}}, [(Sort.WRONG, "Rucio")]),
        ({"record": replace(RECORD, adler32="00000001"), "seen": {}}, [(Sort.WRONG, "Rucio")]),
        ({"record": replace(RECORD, rses=frozenset({COPY}))}, [(Sort.DARK, HOME)]),
        ({"is_attached": False}, [(Sort.LOST, str(DATASET))]),
    ],
)  # fmt: skip
def test_every_way_in_which_a_registered_file_may_be_amiss_is_named(
    told: dict[str, object], findings: list[tuple[Sort, str]]
) -> None:
    """Each with where it is amiss."""
    assert compared(**told)[0] == findings  # type: ignore[arg-type]


@pytest.mark.parametrize("standing", [Standing.NOT_PUT, Standing.UNREGISTERED])
def test_a_file_that_failed_is_dark_where_its_bytes_are_and_unrecorded_where_rucio_has_it(
    standing: Standing,
) -> None:
    """What the journal says certainly did not happen must not have happened."""
    failed = replace(UPLOAD, standing=standing)
    assert compared(failed, None, {HOME: None}) == ([], None)
    assert compared(failed, None, {HOME: BYTES}) == ([(Sort.DARK, HOME)], None)
    assert compared(failed) == ([(Sort.UNRECORDED, "Rucio")], None)


def test_a_file_of_unknown_ending_is_told_as_what_it_came_to() -> None:
    """It is dark where Rucio does not know its bytes, and never lost for not being there."""
    unknown = replace(UPLOAD, standing=Standing.UNKNOWN, adler32="")
    assert compared(unknown) == ([], Fate.UNKNOWN_REGISTERED)
    assert compared(unknown, is_attached=False) == ([], Fate.UNKNOWN_REGISTERED)
    assert compared(unknown, None, {HOME: None}) == ([], Fate.UNKNOWN_NOWHERE)
    assert compared(unknown, None, {}) == ([], Fate.UNKNOWN_UNSEEN)
    on_storage = [(Sort.DARK, HOME)], Fate.UNKNOWN_ON_STORAGE
    assert compared(unknown, None, {HOME: Bytes(7, "00000001")}) == on_storage


def test_what_a_lifetime_took_is_expired_and_what_is_left_must_be_right() -> None:
    """Once it is over Rucio may have forgotten; a replica that it has on record must be there."""
    assert compared(record=None, seen={HOME: None}, may_be_gone=True) == ([], Fate.EXPIRED)
    emptied = replace(RECORD, rses=frozenset())
    assert compared(record=emptied, seen={HOME: None}, may_be_gone=True) == ([], Fate.EXPIRED)
    assert compared(is_attached=False, may_be_gone=True) == ([], None)
    assert compared(seen={HOME: None, COPY: BYTES}, may_be_gone=True)[0] == [(Sort.LOST, HOME)]
    assert compared(record=None, seen={HOME: BYTES}, may_be_gone=True)[0] == [(Sort.DARK, HOME)]


def test_a_file_that_has_moved_is_told_and_not_lost() -> None:
    """Rucio may let go of the replica that was put while it keeps another."""
    moved = replace(RECORD, rses=frozenset({COPY}))
    assert compared(record=moved, seen={HOME: None, COPY: BYTES}) == ([], Fate.ELSEWHERE)


def test_one_looks_where_a_file_should_be_and_where_it_was_to_be_put() -> None:
    """But not where Rucio itself says that its replica is not to be had, or still on its way."""
    assert places(UPLOAD, None) == {HOME}
    assert places(UPLOAD, RECORD) == {HOME, COPY}
    assert places(UPLOAD, replace(RECORD, rses=frozenset({COPY}))) == {HOME, COPY}
    assert places(UPLOAD, replace(RECORD, rses=frozenset({COPY}), other_states={HOME: "BAD"})) == {COPY}
    copying = replace(RECORD, rses=frozenset({HOME}), other_states={COPY: "COPYING"})
    assert places(UPLOAD, copying) == {HOME}


uploads = st.builds(
    Upload,
    st.just(FILE),
    st.just(HOME),
    st.sampled_from([100, 99]),
    st.sampled_from(["", "0a0b0c0d", "00000001"]),
    st.sampled_from(list(Standing)),
)
records = st.none() | st.builds(
    FileRecord,
    st.just(FILE),
    st.sampled_from([100, 99]),
    st.sampled_from(["0a0b0c0d", "00000001"]),
    st.frozensets(st.sampled_from([HOME, COPY])),
)
bytes_seen = st.none() | st.builds(
    Bytes, st.sampled_from([100, 99]), st.sampled_from(["0a0b0c0d", "00000001"])
)


@given(
    uploads,
    records,
    st.fixed_dictionaries({HOME: bytes_seen, COPY: bytes_seen}),
    st.booleans(),
    st.booleans(),
)
def test_the_sorts_mean_what_they_say(
    upload: Upload, record: FileRecord | None, seen: Seen, is_attached: bool, may_be_gone: bool
) -> None:
    """Bytes unknown to Rucio are dark, replicas without bytes lost, and what is right is no finding."""
    seen = {rse: found for rse, found in seen.items() if rse in places(upload, record)}
    found = compare_file(upload, record, seen, DATASET, is_attached, may_be_gone).findings
    at = {sort: {finding.where for finding in found if finding.sort is sort} for sort in Sort}
    on_record = record.rses if record else frozenset()
    assert at[Sort.DARK] == {rse for rse, there in seen.items() if there and rse not in on_record}
    assert at[Sort.LOST] & seen.keys() >= {rse for rse in on_record if seen[rse] is None}
    if record and upload.standing is Standing.REGISTERED and is_attached and on_record:
        expected = Bytes(upload.size_bytes, upload.adler32 or record.adler32)
        all_right = Bytes(record.size_bytes, record.adler32) == expected and all(
            seen[rse] == expected for rse in on_record
        )
        assert all_right == (not found or set(at[Sort.DARK]) == {item.where for item in found})
    if upload.standing is Standing.UNKNOWN and record is None:
        assert not at[Sort.LOST] | at[Sort.WRONG] | at[Sort.UNRECORDED]


@given(uploads, records, st.booleans(), st.booleans())
def test_what_was_not_seen_is_not_told(
    upload: Upload, record: FileRecord | None, is_attached: bool, may_be_gone: bool
) -> None:
    """Where no storage could be asked, only Rucio and the journal are held against each other."""
    found = compare_file(upload, record, {}, DATASET, is_attached, may_be_gone).findings
    lost_everywhere = record is not None and not record.rses
    assert all(item.where in {"Rucio", str(DATASET)} or lost_everywhere for item in found)
    assert all(item.sort is not Sort.DARK for item in found)


def test_a_file_in_a_dataset_that_the_journal_did_not_mean_is_unrecorded() -> None:
    """A file of another dataset of the run is a stranger too."""
    stranger = Did("user", "mine")
    assert strangers(DATASET, {FILE}, {FILE}) == []
    (found,) = strangers(DATASET, {FILE, stranger}, {FILE})
    assert (found.sort, found.name, found.where) == (Sort.UNRECORDED, "user:mine", str(DATASET))


def sorts(findings: list[Finding]) -> list[tuple[Sort, str]]:
    return [(finding.sort, finding.name) for finding in findings]


@pytest.mark.parametrize(
    ("ending", "is_known", "now", "sort", "expired"),
    [
        (Ending.OK, True, 0.0, None, 0),
        (Ending.OK, False, 0.0, Sort.LOST, 0),
        (Ending.OK, False, 50.0, None, 1),
        (Ending.FAILED, True, 0.0, Sort.UNRECORDED, 0),
        (Ending.FAILED, False, 0.0, None, 0),
        (Ending.UNKNOWN, True, 0.0, None, 0),
        (None, False, 0.0, None, 0),
    ],
)
def test_datasets_are_there_if_they_were_created(
    ending: Ending | None, is_known: bool, now: float, sort: Sort | None, expired: int
) -> None:
    """One that is gone before its lifetime is over is lost, one that cannot be there is unrecorded."""
    recorded = [RecordedDataset(DATASET, ending, may_go_at=50.0)]
    findings, gone = compare_datasets(recorded, {DATASET} if is_known else set(), now)
    assert sorts(findings) == ([(sort, str(DATASET))] if sort else [])
    assert gone == expired


def test_a_dataset_under_the_name_of_the_run_that_it_never_meant_is_unrecorded() -> None:
    """Whoever made it."""
    findings, _ = compare_datasets([], {DATASET}, 0.0)
    assert sorts(findings) == [(Sort.UNRECORDED, str(DATASET))]


@pytest.mark.parametrize(
    ("ending", "known", "now", "sort", "expired"),
    [
        (Ending.OK, {RULE_ID: DATASET}, 0.0, None, 0),
        (Ending.OK, {}, 0.0, Sort.LOST, 0),
        (Ending.OK, {}, 50.0, None, 1),
        (Ending.UNKNOWN, {RULE_ID: DATASET}, 0.0, None, 0),
        (None, {RULE_ID: DATASET}, 0.0, None, 0),
        (Ending.UNKNOWN, {}, 0.0, None, 0),
        (Ending.FAILED, {RULE_ID: DATASET}, 0.0, Sort.UNRECORDED, 0),
        (Ending.UNKNOWN, {RULE_ID: FILE}, 0.0, Sort.UNRECORDED, 0),
    ],
)
def test_rules_are_there_if_they_were_added(
    ending: Ending | None, known: dict[str, Did], now: float, sort: Sort | None, expired: int
) -> None:
    """A rule that may have been added is taken for one that is there on the same dataset."""
    rule_id = RULE_ID if ending is Ending.OK else ""
    recorded = [RecordedRule(DATASET, "DESY", ending, rule_id, may_go_at=50.0)]
    findings, gone = compare_rules(recorded, known, now)
    assert [finding.sort for finding in findings] == ([sort] if sort else [])
    assert gone == expired


def test_one_unknown_rule_excuses_one_rule() -> None:
    """A second rule that nobody meant is unrecorded."""
    recorded = [RecordedRule(DATASET, "DESY", Ending.UNKNOWN, "", 50.0)]
    findings, _ = compare_rules(recorded, {RULE_ID: DATASET, "b" * 32: DATASET}, 0.0)
    assert len(findings) == 1
