"""Bad input and a lake that cannot be used end in one clear message; see test_faults.py for the rest."""

from __future__ import annotations

import asyncio
import configparser
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fdr.connection import read_connection
from fdr.lake.embedded import current_settings
from fdr.lake.home import LakeHome
from fdr.lake.storages import storage_root
from fdr.lake.xrootd import storage_directory
from fdr.rucio_door import RucioDoor
from fdr.rundir import RunDir
from tests.lake.disturb import refusing
from tests.lake.foreign import foreign_cfg
from tests.lake.smoke import SMOKE
from tests.lake.smoke_run import environment, fdr

pytestmark = pytest.mark.lake


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
