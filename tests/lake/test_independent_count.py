"""What the report says is what a person counts in Rucio's database and on the disks."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from pathlib import Path

import jsonschema
import pytest

import fdr.report
from fdr.journal.reader import read_journal
from fdr.lake.embedded import current_settings
from fdr.lake.home import LakeHome
from fdr.lake.postgres import query
from fdr.lake.storages import storage_root
from fdr.lake.xrootd import storage_directory
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
    with read_journal(run.directory.journal) as reader:
        return reader.started.run


def rows(lake: LakeHome, sql: str) -> list[tuple[str, ...]]:
    return query(lake, current_settings(lake), sql)


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
    states = Counter(
        state for (state,) in rows(lake, f"SELECT state FROM rules WHERE name LIKE '{run_id}/%'")
    )
    told = run.report["experiments"].values()
    assert states == {"O": sum(experiment["rules"]["ok"] for experiment in told)}
    assert states["O"] == sum(experiment["rules"]["added"] for experiment in told) == 10
    locks = Counter(state for (state,) in rows(lake, f"SELECT state FROM locks WHERE name LIKE '{run_id}/%'"))
    assert locks == {"O": 60 * 2 + 40 + 32}


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
    known = {
        (rse, scope, name): (int(size), adler32)
        for rse, scope, name, size, adler32 in rows(
            lake,
            "SELECT rse, replicas.scope, name, bytes, adler32 FROM replicas JOIN rses ON rses.id = rse_id"
            f" WHERE name LIKE '{run_id}/%'",
        )
    }
    found = {}
    for rse in current_settings(lake).sites:  # those of other tests too: rules may choose them
        root = storage_directory(rse, storage_root(lake))
        for path in root.rglob("*"):
            # A hashed path: SCOPE/xx/yy/NAME, and the name begins with the run.
            parts = path.relative_to(root).parts
            if path.is_file() and len(parts) > 3 and parts[3] == run_id:
                content = path.read_bytes()
                found[rse, parts[0], "/".join(parts[3:])] = (len(content), f"{zlib.adler32(content):08x}")
    assert found == known
    assert len(found) == 132 + run.report["transfers"]["done"]


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
