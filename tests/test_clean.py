"""The command that cleans: what it refuses, and what it says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from fdr.clean import clean
from fdr.clean_view import cleaned_as_json, cleaned_lines, survey_lines
from fdr.cleaned import Cleaned, Thing
from fdr.errors import ExitCode, LakeUnusable, UsageError
from fdr.journal.reader import read_journal
from fdr.journal.writer import Journal
from fdr.model import CLEANING, Did, Intention, Kind, Note
from fdr.plan import digest
from fdr.rehearse import resume
from fdr.rundir import RunDir
from fdr.scenario.load import load_scenario
from tests.made_up_run import STARTED
from tests.small_scenario import SCENARIOS

RUN = "20261122T203015-7f3a"
DATASET = Did("cta_fdr", f"{RUN}/CTA/dataset-00000")


@pytest.fixture
async def directory(tmp_path: Path) -> RunDir:
    """The directory of a run that made one dataset on a lake that is not there any more."""
    directory = RunDir(tmp_path)
    directory.scenario.write_text((SCENARIOS / "smoke.yaml").read_text())
    started = replace(
        STARTED,
        run=RUN,
        speed=1.0,
        plan_digest=digest(load_scenario(directory.scenario)),
        lake_config=str(tmp_path / "rucio.cfg"),
    )
    journal = Journal.create(directory.journal, started)
    await journal.intend([Intention(1, Kind.DATASET, "CTA", 0, DATASET, "", 0, 0.0)])
    await journal.close()
    return directory


def run_clean(directory: RunDir, wait: str = "10m", *, dry_run: bool = False) -> ExitCode:
    return clean(directory, None, dry_run, wait, False, Console(quiet=True))


def things(kind: str, count: int, rse: str = "") -> list[Thing]:
    return [Thing(kind, "CTA", Did("cta_fdr", f"{RUN}/{number}"), rse, 1000) for number in range(count)]


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_run_that_is_alive_is_not_touched(directory: RunDir, dry_run: bool) -> None:
    """Exit code 2, before the lake is reached."""
    with directory.held(), pytest.raises(UsageError, match="alive"):
        run_clean(directory, dry_run=dry_run)


def test_a_duration_that_is_none_is_told(directory: RunDir) -> None:
    """With what to write instead."""
    with pytest.raises(UsageError, match="--wait"):
        run_clean(directory, "soon")


def test_a_lake_that_is_gone_is_told_and_nothing_is_noted(directory: RunDir) -> None:
    """Exit code 5; the journal does not say that the run was cleaned."""
    with pytest.raises(LakeUnusable):
        run_clean(directory)
    with read_journal(directory.journal) as reader:
        assert reader.notes() == []


async def test_a_run_that_was_cleaned_does_not_go_on(directory: RunDir) -> None:
    """What it had done is gone, so that nothing could be built on it."""
    journal = Journal.reopen(directory.journal)
    journal.record(Note(STARTED.started_at + 1, CLEANING))
    await journal.close()
    with pytest.raises(UsageError, match="fdr clean has removed this run"):
        resume(directory, None, Console(quiet=True))


def test_nothing_left_is_said_in_one_line() -> None:
    """As a person and as a script would read it."""
    cleaned = Cleaned(dark_removed=2)
    lines = list(cleaned_lines(RUN, Path("runs/one"), cleaned))
    assert lines[0] == "removed 2 files from storages that Rucio had no replica of"
    assert "nothing of this run is left: 0 rules" in lines[1]
    assert len(lines) == 2
    told = cleaned_as_json(RUN, cleaned, dry_run=False)
    assert (told["clean"], told["there"]) == (True, {})


def test_what_remains_is_said_with_what_it_waits_for_and_how_to_go_on() -> None:
    """Counts, the reaper and since when, what was kept and why, what was refused."""
    cleaned = Cleaned(asked_at=0.0)
    cleaned.count(things("replica", 3, "A-ONE"))
    cleaned.count([*things("replica", 1, "B-TWO"), *things("dataset", 1)], {Did("cta_fdr", f"{RUN}/0")})
    cleaned.count(things("stored", 3, "A-ONE"))
    cleaned.kept[DATASET] = "rule r9 of account root is on it"
    cleaned.problems["no quota"] = 2
    text = "\n".join(cleaned_lines(RUN, Path("runs/one"), cleaned))
    assert "wait for Rucio's reaper since 1970-01-01T00:00:00Z: 3 at A-ONE\n" in text
    assert f"{DATASET}: rule r9 of account root" in text
    assert "refused: no quota (2 times)" in text
    assert "(3 kB)" in text
    assert text.endswith("go on with: fdr clean runs/one")
    told = json.loads(json.dumps(cleaned_as_json(RUN, cleaned, dry_run=False)))
    assert told["clean"] is False
    assert told["there"]["CTA"] == {
        "rules": 0, "datasets": 1, "files": 0, "replicas": 4, "stored": 3, "unseen": 0, "stored_bytes": 3000,
    }  # fmt: skip
    assert told["waiting_at"] == {"A-ONE": 3}


def test_a_survey_shows_the_first_names_of_many() -> None:
    """Three of a kind, and how many more there are."""
    found = Cleaned()
    found.count(things("replica", 5, "A-ONE"))
    lines = list(survey_lines(RUN, found))
    assert sum("CTA replica: cta_fdr:" in line for line in lines) == 3
    assert "  CTA replica: … and 2 more" in lines
    assert list(survey_lines(RUN, Cleaned())) == [f"{RUN}: nothing of this run is left"]
