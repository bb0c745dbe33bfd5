"""A run is taken away without a trace, by Rucio's database and the disks; whatever is not its own stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from fdr.journal.reader import read_journal
from fdr.lake.embedded import current_settings
from fdr.lake.home import LakeHome
from fdr.lake.postgres import query
from fdr.lake.storages import storage_root
from fdr.lake.xrootd import storage_directory
from fdr.model import CLEANED, Did, Intention, Kind, Outcome
from fdr.rundir import RunDir
from tests.lake.smoke import SMOKE
from tests.lake.smoke_run import FDR, environment
from tests.lake.smoke_run import fdr as run_fdr

pytestmark = pytest.mark.lake

SMALL = ("--scale", "0.25", "--duration", "5s")
PUT_BEFORE_THE_KILL = 15
BEGUN_WITHIN_S = 120
DAEMONS_WITHIN_S = 150  # then it says what is left, and where
# What Rucio has of a run, without what its daemons may touch at any time.
TABLES = {
    "dids": "scope, name, did_type, bytes, is_open, expired_at",
    "contents": "scope, name, child_scope, child_name",
    "replicas": "scope, name, rse_id, state, lock_cnt, tombstone",
    "rules": "scope, name, id, state, locks_ok_cnt, expires_at",
    "locks": "scope, name, rule_id, rse_id, state",
    "dataset_locks": "scope, name, rule_id, rse_id",
    "requests": "scope, name, id",
}


@dataclass(frozen=True)
class Run:
    """A run, and the lake as a person would look at it."""

    lake: LakeHome
    directory: RunDir

    @property
    def id(self) -> str:
        with read_journal(self.directory.journal) as reader:
            return reader.started.run

    def records(self) -> dict[str, list[tuple[str, ...]]]:
        """Return what Rucio's database has under the run's name."""
        settings = current_settings(self.lake)
        return {
            table: sorted(
                query(self.lake, settings, f"SELECT {columns} FROM {table} WHERE name LIKE '%{self.id}%'")
            )
            for table, columns in TABLES.items()
        }

    def files(self) -> dict[Path, bytes]:
        """Return what lies on the disks under the run's name."""
        return {path: path.read_bytes() for path in self._all_files() if self.id in str(path)}

    def path(self, did: Did, rse: str) -> Path:
        """Return where a file lies on the disk of an RSE."""
        digest = md5(str(did).encode(), usedforsecurity=False).hexdigest()
        return self._root(rse) / did.scope / digest[:2] / digest[2:4] / did.name

    def write(self, path: Path) -> None:
        """Put a file on a disk, as the storage's own user would have."""
        root = next(parent for parent in path.parents if parent.exists())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"of no interest to Rucio")
        for made in (path, *path.relative_to(root).parents):
            os.chown(root / made, root.stat().st_uid, root.stat().st_gid)

    def intentions(self) -> list[Intention]:
        with read_journal(self.directory.journal) as reader:
            return [event for event in reader.events() if isinstance(event, Intention)]

    def has_put(self) -> bool:
        """Tell whether the run has put some files."""
        if not self.directory.journal.exists():
            return False
        with read_journal(self.directory.journal) as reader:
            steps = [event.step for event in reader.events() if isinstance(event, Outcome)]
        return steps.count("put") >= PUT_BEFORE_THE_KILL

    def clean(self, *options: str) -> subprocess.CompletedProcess[str]:
        words = "clean", self.directory.path, "--wait", f"{DAEMONS_WITHIN_S}s", *options
        return run_fdr(self.lake, self.directory.path.parent, *words)

    def _all_files(self) -> Iterator[Path]:
        for rse in current_settings(self.lake).sites:
            yield from (path for path in self._root(rse).rglob("*") if path.is_file())

    def _root(self, rse: str) -> Path:
        return storage_directory(rse, storage_root(self.lake))


@pytest.fixture(scope="module")
def runs(lake: LakeHome, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """Two small runs at the same time, both over."""
    root = tmp_path_factory.mktemp("runs")

    runs = [Run(lake, RunDir(root / name)) for name in ("one", "other")]
    processes = []
    for run in runs:  # both at once, but that the lake is prepared by one after the other
        processes.append(start(run, *SMALL))
        wait_until(processes[-1], run.directory.journal.exists, "make its journal")
    for process in processes:
        process.wait(BEGUN_WITHIN_S)
    one, other = runs
    return one, other


def start(run: Run, *options: str) -> subprocess.Popen[bytes]:
    """Start a run in a session of its own."""
    return subprocess.Popen(
        [str(FDR), "run", str(SMOKE), "--run-dir", str(run.directory.path), *options],
        env=environment(run.lake, run.directory.path.parent),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_until(process: subprocess.Popen[bytes], is_so: Callable[[], bool], what: str) -> None:
    """Return when a run that goes on has done something."""
    deadline = time.monotonic() + BEGUN_WITHIN_S
    while not is_so():
        assert process.poll() is None, f"the run ended and did not {what}"
        assert time.monotonic() < deadline, f"the run does not {what}"
        time.sleep(0.1)


def last_line(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return json.loads(done.stdout.splitlines()[-1])


def test_looking_first_tells_all_and_changes_nothing(runs: tuple[Run, Run]) -> None:
    """What it counts is what stands in the database and on the disks."""
    one, _ = runs
    records, files = one.records(), one.files()
    done = one.clean("--dry-run", "--json")
    assert done.returncode == 0, done.stdout
    assert (one.records(), one.files()) == (records, files)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    there = told[-1]["there"].values()
    assert sum(each["rules"] for each in there) == len(records["rules"])
    assert sum(each["datasets"] + each["files"] for each in there) == len(records["dids"])
    assert sum(each["replicas"] for each in there) == len(records["replicas"])
    assert sum(each["stored"] for each in there) == len(files)
    assert sum(each["stored_bytes"] for each in there) == sum(map(len, files.values()))
    assert len(told) == 1 + sum(sum(each.values()) - each["stored_bytes"] for each in there)


def test_a_run_goes_and_another_stays_byte_for_byte(runs: tuple[Run, Run]) -> None:
    """Also a file in the same scope that is nobody's; cleaning again finds nothing left."""
    one, other = runs
    nobodys = other.path(Did("cta_fdr", "precious.fits"), "PIC-DCACHE")
    other.write(nobodys)
    records, files = other.records(), other.files()
    assert all(one.records()[table] for table in TABLES if table != "requests")
    done = one.clean()
    assert done.returncode == 0, done.stdout
    assert "nothing of this run is left" in done.stdout
    assert one.records() == {table: [] for table in TABLES}
    assert one.files() == {}
    assert (other.records(), other.files()) == (records, files)
    assert nobodys.read_bytes()
    again = one.clean("--json")
    assert again.returncode == 0, again.stdout
    assert last_line(again)["clean"] is True
    report = json.loads(one.directory.json.read_text())
    assert CLEANED in [note["kind"] for note in report["run"]["notes"]]
    assert "removed from the lake" in report["run"]["status"]


def test_a_run_that_was_killed_half_way_goes_too(lake: LakeHome, tmp_path: Path) -> None:
    """With the files that were put and never registered; while it lives it is not touched."""
    run = Run(lake, RunDir(tmp_path / "killed"))
    process = start(run)
    try:
        wait_until(process, run.has_put, "put files")
        assert run.clean().returncode == 2
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    registered = {name for _, name, *_ in run.records()["dids"]}
    assert registered
    uploads = [one for one in run.intentions() if one.kind is Kind.UPLOAD]
    left = [one for one in uploads if one.did.name not in registered]
    if not left:
        pytest.fail("everything that was intended is registered: kill earlier")
    unregistered = max(left, key=lambda one: one.due_at)  # an earlier one may be in the server's hands yet
    dark = run.path(unregistered.did, unregistered.rse)
    if not dark.exists():
        run.write(dark)
    done = run.clean("--json")
    assert done.returncode == 0, done.stdout
    assert last_line(done)["dark_removed"] >= 1
    assert run.records() == {table: [] for table in TABLES}
    assert run.files() == {}


EXPIRES_S = 40
GONE_WITHIN_S = 150  # a rule is looked at every few seconds, and the reaper leaves an RSE alone for a while


def test_a_run_that_nobody_cleans_is_gone_when_its_lifetime_is_over(lake: LakeHome, tmp_path: Path) -> None:
    """Uploads that no rule covers, too, and those to two RSEs of which a rule copies to one."""
    run = Run(lake, RunDir(tmp_path / "brief"))
    changes = (
        f"defaults.lifetime={EXPIRES_S}s",
        "grace=30s",
        "experiments.LSST.rules=[]",
        "experiments.SKA.inject.dataset.files=4",  # two datasets, at DESY-DCACHE and SARA-DCACHE
        "experiments.SKA.rules=[{to: DESY-DCACHE, when: at-creation}]",
    )
    sets = [f"--set={change}" for change in changes]
    assert start(run, *SMALL, *sets).wait(BEGUN_WITHIN_S) in {0, 3}
    assert {scope for scope, *_ in run.records()["replicas"]} == {"cta_fdr", "lsst_fdr", "ska_fdr"}
    deadline = time.monotonic() + EXPIRES_S + GONE_WITHIN_S
    while any(run.records().values()) or run.files():
        assert time.monotonic() < deadline, (run.records(), list(run.files()))
        time.sleep(1)
