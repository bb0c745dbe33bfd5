"""What a probe may leave stands in a file before it is made, and until it is gone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fdr.errors import UsageError
from fdr.probe.plan import Place
from fdr.probe.record import SCHEMA, Traces, earlier_records, record_of
from fdr.probe.traces import Ledger

ID, OTHER = "20261127T210000-7f3a", "20261127T213000-0000"
HERE, THERE = f"root://a//x/fdr-probe-{ID}-0", f"root://b//x/fdr-probe-{ID}-11"
PLACES = (Place(HERE, "put"), Place(THERE, "source"), Place(THERE, "from-A"))


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    """Whole, and nothing beside it."""
    record = record_of(tmp_path / "runs", ID, "local")
    traces = Traces(PLACES, (("https://fts", "job-1"),))
    record.keep(Traces())
    record.keep(traces)
    assert record.read() == traces
    assert list(record.path.parent.iterdir()) == [record.path]
    assert list(earlier_records(record.path.parent, "local")) == [record]
    record.forget()
    assert list(earlier_records(record.path.parent, "local")) == []


def test_only_records_of_this_lake_are_taken(tmp_path: Path) -> None:
    """Whoever cleans one lake has no business, and no credentials, at another; other files are none."""
    for probe, lake in ((ID, "https://other"), (OTHER, "local")):
        record_of(tmp_path, probe, lake).keep(Traces(PLACES))
    for name, text in (
        ("probe-20261127T000000-0001.json", "{"),
        ("probe-20261127T000000-0002.json", json.dumps({"schema": "x/1", "lake": "local"})),
        ("probe-mine.json", json.dumps({"schema": SCHEMA, "lake": "local"})),
    ):
        (tmp_path / name).write_text(text)
    unfinished = tmp_path / f"probe-{ID}.new"
    unfinished.write_text("{")
    assert [record.probe for record in earlier_records(tmp_path, "local")] == [OTHER]
    assert not unfinished.exists()
    assert len(list(tmp_path.iterdir())) == 5
    assert list(earlier_records(tmp_path / "nowhere", "local")) == []


def test_a_record_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """Damaged, or where nobody can write: before anything is put."""
    record = record_of(tmp_path, ID, "local")
    record.path.write_text(json.dumps({"schema": SCHEMA, "lake": "local", "files": [{}], "jobs": []}))
    with pytest.raises(UsageError, match="remove it by hand"):
        record.read()
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        Ledger(record_of(tmp_path / "file", ID, "local"), PLACES)


@pytest.mark.parametrize(
    "place",
    [
        Place("root://a//x", "precious"),
        Place(f"root://a//x/fdr-probe-{OTHER}-0", "put"),
        Place(f"root://a//x/fdr-probe-{ID}-", "put"),
        Place(f"{HERE}/..", "put"),
        Place(HERE, "../precious"),
        Place(HERE, ".."),
    ],
)
def test_nothing_is_taken_for_a_probes_that_it_cannot_have_made(tmp_path: Path, place: Place) -> None:
    """Whatever stands in the record: what it names would be deleted."""
    record = record_of(tmp_path, ID, "local")
    record.keep(Traces((PLACES[0], place)))
    with pytest.raises(UsageError, match="is not of this probe"):
        record.read()


def test_the_ledger_writes_before_and_forgets_only_what_is_gone(tmp_path: Path) -> None:
    """Files at once, jobs when they are expected; what is left stays for the next."""
    record = record_of(tmp_path, ID, "local")
    ledger = Ledger(record, PLACES)
    assert record.read() == Traces(PLACES)
    ledger.expect_jobs("https://fts", ["job-1", "job-2", ""])
    assert record.read().jobs == (("https://fts", "job-1"), ("https://fts", "job-2"))
    ledger.settle_job("job-1")
    assert ledger.close([PLACES[0].url], []) == str(record.path)
    assert record.read() == Traces(PLACES[:1], (("https://fts", "job-2"),))
    ledger.settle_job("job-2")
    assert ledger.close([], [PLACES[0].directory]) == str(record.path)
    assert record.read() == Traces(PLACES[:1])
    assert ledger.close([], []) == ""
    assert list(tmp_path.iterdir()) == []
