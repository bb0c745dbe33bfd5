"""What the report says is what a person counts in Rucio's database and on the disks."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import jsonschema
import pytest

import fdr.report
from fdr.lake.embedded import current_settings
from fdr.lake.home import LakeHome
from fdr.lake.storages import storage_root
from fdr.lake.xrootd import storage_directory
from fdr.rucio_catalog import UPLOAD_COMMENT
from tests.lake import recount
from tests.lake.recount import (
    count_again,
    files_on_disk,
    locks_in_database,
    replicas_in_database,
    rows,
    rules_in_database,
)
from tests.lake.smoke import smoke
from tests.lake.smoke_run import FinishedRun, run_smoke
from tests.lake.smoke_run import fdr as run_fdr

pytestmark = pytest.mark.lake


@pytest.fixture(scope="module")
def run(lake: LakeHome, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """One smoke run for all that is counted here."""
    return run_smoke(lake, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def run_id(run: FinishedRun) -> str:
    return recount.run_id(run.directory)


def test_the_smoke_rehearsal_passes(run: FinishedRun) -> None:
    """The shipped scenario on the embedded lake: verdict pass, exit code 0, nothing dropped or failed."""
    assert run.code == 0, run.output
    assert run.report["verdict"] == "pass"
    assert run.report["failures"] == []
    assert run.report["run"]["ended_at"] is not None


def test_the_report_keeps_its_contract(run: FinishedRun) -> None:
    """report.json is valid by the schema in the project."""
    schema = Path(fdr.report.__file__).with_name("report.schema.json")
    jsonschema.validate(run.report, json.loads(schema.read_text()))


def test_files_in_the_report_are_those_in_the_database(run: FinishedRun, run_id: str, lake: LakeHome) -> None:
    """Files, and bytes, per scope; attached to datasets that are closed."""
    counted = {
        scope: (int(count), int(size))
        for scope, count, size in rows(
            lake,
            "SELECT scope, count(*), sum(bytes) FROM dids"
            f" WHERE did_type = 'F' AND name LIKE '{run_id}/%' GROUP BY scope",
        )
    }
    told = run.report["experiments"]
    by_scope = {
        experiment.scope: (told[name]["files"]["registered"], told[name]["bytes"]["ok"])
        for name, experiment in smoke().experiments.items()
    }
    assert counted == by_scope
    assert sum(count for count, _ in counted.values()) == 132
    attached = rows(lake, f"SELECT count(*) FROM contents WHERE name LIKE '{run_id}/%' AND child_type = 'F'")
    assert attached == [("132",)]
    open_or_not = Counter(
        is_open
        for (is_open,) in rows(
            lake, f"SELECT is_open FROM dids WHERE did_type = 'D' AND name LIKE '{run_id}/%'"
        )
    )
    assert open_or_not == {"f": sum(experiment["datasets"]["closed"] for experiment in told.values())}


def test_rules_and_locks_are_those_in_the_database(run: FinishedRun, run_id: str, lake: LakeHome) -> None:
    """Every rule is there and OK; every lock is OK; their numbers are the report's."""
    states = Counter(rules_in_database(lake, run_id).values())
    told = run.report["experiments"].values()
    assert states == {"O": sum(experiment["rules"]["ok"] for experiment in told)}
    assert states["O"] == sum(experiment["rules"]["added"] for experiment in told) == 10
    assert locks_in_database(lake, run_id, of_uploads=False) == {"O": 60 * 2 + 40 + 32}


def test_every_upload_is_locked_where_it_was_put_until_its_dataset_expires(
    run: FinishedRun, run_id: str, lake: LakeHome
) -> None:
    """A rule that purges for every dataset, a lock for every file at the RSE of its upload, no file moved."""
    rules = rows(
        lake,
        f"SELECT count(*), count(distinct name) FROM rules WHERE comments = '{UPLOAD_COMMENT}'"
        f" AND name LIKE '{run_id}/%' AND purge_replicas AND state = 'O' AND expires_at IS NOT NULL",
    )
    datasets = sum(told["datasets"]["planned"] for told in run.report["experiments"].values())
    assert rules == [(str(datasets), str(datasets))]
    assert locks_in_database(lake, run_id, of_uploads=True) == {"O": 132}
    nowhere = rows(lake, f"SELECT count(*) FROM replicas WHERE name LIKE '{run_id}/%' AND lock_cnt = 0")
    assert nowhere == [("0",)]


def test_replicas_are_uploads_and_transfers(run: FinishedRun, run_id: str, lake: LakeHome) -> None:
    """Replicas in the database, all available, are the files uploaded and the transfers done."""
    replicas = Counter(
        state for (state,) in rows(lake, f"SELECT state FROM replicas WHERE name LIKE '{run_id}/%'")
    )
    transfers = run.report["transfers"]
    assert replicas == {"A": 132 + transfers["done"]}
    assert transfers["done"] == sum(link["done"] for link in transfers["matrix"]) == 192
    assert transfers["failed"] == 0


def test_every_replica_is_on_disk_with_its_checksum(run: FinishedRun, run_id: str, lake: LakeHome) -> None:
    """Each file that Rucio knows at an RSE lies there, with the size and adler32 that Rucio has; no other."""
    on_disk = files_on_disk(lake, run_id)
    assert on_disk == replicas_in_database(lake, run_id)
    assert len(on_disk) == 132 + run.report["transfers"]["done"]


def test_the_count_that_faults_are_held_against_is_the_same(run: FinishedRun, lake: LakeHome) -> None:
    """What tests/lake/test_faults.py asks of disturbed runs holds here, all files ok."""
    assert count_again(lake, run.directory, run.report) == {"ok": 132}


def test_the_count_finds_a_file_that_is_lost(run: FinishedRun, lake: LakeHome) -> None:
    """One that is on no disk any more, though Rucio and the journal have it."""
    scope = smoke().experiments["CTA"].scope
    root = storage_directory("PIC-DCACHE", storage_root(lake)) / scope
    path = next(path for path in root.glob(f"*/*/{recount.run_id(run.directory)}/**/*") if path.is_file())
    kept = path.rename(path.with_name("away"))
    try:
        with pytest.raises(AssertionError):
            count_again(lake, run.directory, run.report)
    finally:
        kept.rename(path)


def test_the_report_is_made_again_from_the_run_directory(run: FinishedRun, lake: LakeHome) -> None:
    """fdr report gives the same numbers later, without the lake."""
    again = run_fdr(
        LakeHome(Path("/nonexistent")), run.directory.path, "report", run.directory.path, "--json"
    )
    assert again.returncode == 0, again.stdout
    assert json.loads(again.stdout) == run.report


def test_no_secret_is_in_anything_that_the_run_wrote(run: FinishedRun, lake: LakeHome) -> None:
    """Not in what was printed, the log, the journal or the reports."""
    settings = current_settings(lake)
    secrets = {*settings.secrets.values(), *settings.account_passwords.values()}
    assert secrets
    written = [run.output, *(path.read_text(errors="replace") for path in run.directory.path.iterdir())]
    leaked = [text for text in written for secret in secrets if secret in text]
    assert leaked == []
    assert "Traceback" not in run.output
