"""Bad input and bad weather end in one clear message, and nothing is lost."""

from __future__ import annotations

import asyncio
import configparser
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fdr.connection import read_connection
from fdr.journal.reader import read_journal
from fdr.lake.embedded import current_settings
from fdr.lake.home import LakeHome
from fdr.lake.storages import storage_root
from fdr.lake.xrootd import storage_directory
from fdr.model import Outcome
from fdr.planned import planned
from fdr.rucio_door import RucioDoor
from fdr.rundir import RunDir
from fdr.scenario.load import load_scenario
from tests.lake.smoke import SMOKE
from tests.lake.smoke_run import FDR, environment, fdr, run_smoke

pytestmark = pytest.mark.lake


def foreign_cfg(lake: LakeHome, path: Path, **client: str) -> Path:
    """Write the lake's rucio.cfg as if the lake were another's, with changes in ``[client]``."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(lake.client_cfg)
    parser.remove_option("fdr", "embedded_home")
    parser["client"].update(client)
    if "password" in client:
        for section in [name for name in parser.sections() if name.startswith("fdr-account-")]:
            parser.remove_section(section)
    with path.open("w") as file:
        parser.write(file)
    return path


@pytest.mark.parametrize(
    ("options", "client", "said"),
    [
        ([], {"rucio_host": "http://127.0.0.1:9", "auth_host": "http://127.0.0.1:9"}, "cannot be reached"),
        ([], {"password": "s3cret-wrong"}, "does not let cta in"),
        (["--set", "rses.MARS={quota: 1 TB}"], {}, "RSE MARS: Rucio does not know it"),
        (["--set", "experiments.CTA.scope=nobodys"], {}, "the scope nobodys does not exist"),
        (["--set", "experiments.CTA.scope=fdr_probe"], {}, "the scope fdr_probe is not cta's"),
        (["--set", "experiments.CTA.account=nobody"], {}, "does not let nobody in"),
    ],
)
def test_a_lake_that_cannot_carry_the_scenario_is_refused_before_anything_is_injected(
    lake: LakeHome, tmp_path: Path, options: list[str], client: dict[str, str], said: str
) -> None:
    """Exit code 5, the cause in a sentence, no traceback, no password, no journal."""
    cfg = foreign_cfg(lake, tmp_path / "rucio.cfg", **client)
    done = fdr(lake, tmp_path, "run", SMOKE, "--lake", cfg, "--run-dir", tmp_path / "run", *options)
    assert done.returncode == 5, done.stdout
    assert said in " ".join(done.stdout.split())
    assert "Traceback" not in done.stdout
    hidden = {"s3cret-wrong", *current_settings(lake).account_passwords.values()}
    assert not [secret for secret in hidden if secret in done.stdout]
    assert not RunDir(tmp_path / "run").journal.exists()


def test_one_identity_may_serve_every_account(lake: LakeHome, tmp_path: Path) -> None:
    """Without credentials of their own, accounts are acted for by the identity of the file."""
    cfg = foreign_cfg(lake, tmp_path / "rucio.cfg")
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(cfg)
    for section in [name for name in parser.sections() if name.startswith("fdr-account-")]:
        parser.remove_section(section)
    with cfg.open("w") as file:
        parser.write(file)
    done = fdr(lake, tmp_path, "check", SMOKE, "--lake", cfg)
    assert done.returncode == 0, done.stdout
    assert "3 RSEs can be written" in done.stdout


def test_a_storage_that_takes_no_file_is_found_before_anything_is_injected(
    lake: LakeHome, tmp_path: Path
) -> None:
    """The check puts a small file at every RSE that will be written."""
    scope = f"cta_{secrets.token_hex(4)}"
    changes = ["--set", f"experiments.CTA.scope={scope}"]
    with refusing(storage_directory("PIC-DCACHE", storage_root(lake)) / scope):
        done = fdr(lake, tmp_path, "run", SMOKE, "--run-dir", tmp_path / "run", *changes)
    assert done.returncode == 5, done.stdout
    assert "RSE PIC-DCACHE: cannot be written" in " ".join(done.stdout.split())
    assert not RunDir(tmp_path / "run").journal.exists()


def test_an_rse_that_is_off_for_writing_is_found_before_anything_is_injected(
    lake: LakeHome, tmp_path: Path
) -> None:
    """Rucio's own availability counts."""
    with unavailable(lake, "PIC-DCACHE"):
        done = fdr(lake, tmp_path, "check", SMOKE)
    assert done.returncode == 5, done.stdout
    assert "RSE PIC-DCACHE: is not available for writing" in " ".join(done.stdout.split())


@contextmanager
def unavailable(lake: LakeHome, rse: str) -> Iterator[None]:
    """Turn an RSE off for writing, as an operator does."""
    door = RucioDoor(read_connection(lake.client_cfg))
    try:
        asyncio.run(door.call("root", lambda client: client.update_rse(rse, {"availability_write": False})))
        yield
    finally:
        asyncio.run(door.call("root", lambda client: client.update_rse(rse, {"availability_write": True})))
        door.close()


def test_without_gfal2_nothing_is_injected(lake: LakeHome, tmp_path: Path) -> None:
    """The message says which package is missing."""
    program = "import sys; sys.modules['gfal2'] = None; from fdr.cli import main; sys.argv[0] = 'fdr'; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "run", str(SMOKE), "--run-dir", str(tmp_path / "run")],
        env=environment(lake, tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 5, done.stdout + done.stderr
    assert "gfal2" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_scenario_starts_nothing(lake: LakeHome, tmp_path: Path) -> None:
    """Exit code 2, every problem with its line, no run directory."""
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(
        SMOKE.read_text().replace("files: 60 ", "fils: 60 ").replace("duration: 20s", "duration: x")
    )
    done = fdr(lake, tmp_path, "run", wrong, "--run-dir", tmp_path / "run")
    assert done.returncode == 2, done.stdout
    assert "did you mean 'files'?" in done.stdout
    assert f"{wrong}:8" in done.stdout
    assert not (tmp_path / "run").exists()


@contextmanager
def refusing(directory: Path) -> Iterator[None]:
    """Let nobody write in a directory of a storage, though it is there."""
    directory.mkdir(exist_ok=True)
    before = directory.stat()
    directory.chmod(0o555)
    owner = before.st_uid
    os.chown(directory, 0, 0)
    try:
        yield
    finally:
        os.chown(directory, owner, before.st_gid)
        directory.chmod(before.st_mode & 0o777)


def test_a_storage_that_refuses_files_costs_only_those(lake: LakeHome, tmp_path: Path) -> None:
    """LSST's files are failed with a countable reason; the other experiments' are all there."""
    scope = f"lsst_{secrets.token_hex(4)}"  # with no directory that is there already
    with refusing(storage_directory("SARA-DCACHE", storage_root(lake)) / scope):
        changes = ["--duration", "5s", "--size-scale", "0.5", "--set", f"experiments.LSST.scope={scope}"]
        run = run_smoke(lake, tmp_path, *changes)
    assert run.code == 3, run.output
    files = {name: experiment["files"] for name, experiment in run.report["experiments"].items()}
    assert (files["LSST"]["failed"], files["LSST"]["registered"]) == (40, 0)
    assert (files["CTA"]["registered"], files["SKA"]["registered"]) == (60, 32)
    reasons = {
        (failure["operation"], failure["reason"]): failure["count"] for failure in run.report["failures"]
    }
    assert list(reasons.values()) == [40]
    halved = planned(load_scenario(SMOKE, size_scale=0.5)).experiments
    volumes = {name: experiment["bytes"]["planned"] for name, experiment in run.report["experiments"].items()}
    assert volumes == {name: experiment.bytes for name, experiment in halved.items()}


@contextmanager
def begun_run(lake: LakeHome, runs: Path, uploads: int) -> Iterator[tuple[subprocess.Popen[str], RunDir]]:
    """Begin a smoke run and wait until some files have been put."""
    directory = RunDir(runs / "run")
    process = subprocess.Popen(
        [str(FDR), "run", str(SMOKE), "--run-dir", str(directory.path)],
        env=environment(lake, runs),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None and put_count(directory) < uploads:
            time.sleep(0.2)
        yield process, directory
    finally:
        process.kill()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def put_count(directory: RunDir) -> int:
    """Count the puts that have ended."""
    if not directory.journal.exists():
        return 0
    with read_journal(directory.journal) as reader:
        return sum(isinstance(event, Outcome) and event.step == "put" for event in reader.events())


def test_ctrl_c_ends_the_run_orderly(lake: LakeHome, tmp_path: Path) -> None:
    """No new starts, work in flight ends, the report is written, exit code 130."""
    with begun_run(lake, tmp_path, 20) as (process, directory):
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=90)
        assert process.returncode == 130, output
    report = json.loads(directory.json.read_text())
    files = [experiment["files"] for experiment in report["experiments"].values()]
    assert report["verdict"] != "pass"
    assert report["run"]["ended_at"] is not None
    assert sum(counts["unknown"] for counts in files) == 0
    assert 20 <= sum(counts["ok"] for counts in files) < 132
    assert "Traceback" not in output


def test_a_killed_run_is_reported_from_its_journal(lake: LakeHome, tmp_path: Path) -> None:
    """fdr report says that the run did not end, and counts what was recorded."""
    with begun_run(lake, tmp_path, 20) as (process, directory):
        process.kill()
        process.wait(10)
    put = put_count(directory)
    told = fdr(lake, tmp_path, "report", directory.path)
    assert told.returncode == 0, told.stdout
    assert "did not end" in " ".join(told.stdout.split())
    report = json.loads(fdr(lake, tmp_path, "report", directory.path, "--json").stdout)
    assert report["run"]["ended_at"] is None
    assert report["verdict"] != "pass"
    assert 0 < sum(experiment["files"]["ok"] for experiment in report["experiments"].values()) <= put
