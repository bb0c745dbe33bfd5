"""``eval "$(fdr lake env)"`` and the stock rucio command line."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from fdr.lake.embedded import current_settings
from fdr.lake.shell import exports
from tests.lake.smoke import smoke

if TYPE_CHECKING:
    from pathlib import Path

    from fdr.lake.home import LakeHome

pytestmark = pytest.mark.lake


def shell(lake: LakeHome, command: str) -> str:
    """Return what a command says in a fresh shell that has evaluated the exports."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
    done = subprocess.run(
        ["bash", "-euc", f'eval "$EXPORTS"\n{command}'],
        env={**environment, "EXPORTS": exports(lake)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_stock_command_line_talks_to_the_lake(lake: LakeHome) -> None:
    """It is who it says it is, and sees the RSEs."""
    said = shell(lake, "rucio whoami; rucio rse list --csv")
    assert "root" in said
    assert all(rse in said for rse in current_settings(lake).sites)


def test_the_stock_command_line_uploads_and_downloads(lake: LakeHome, tmp_path: Path) -> None:
    """A file comes back from the lake as it went in."""
    name = f"file-{os.getpid()}-{time.time_ns()}"
    content = os.urandom(5000)
    (tmp_path / name).write_bytes(content)
    shell(
        lake,
        f"cd {tmp_path}; rucio scope add --account root user.shell || true;"
        f"rucio upload --rse {next(iter(smoke().rses))} --scope user.shell {name};"
        f"rucio download --dir back user.shell:{name}",
    )
    (back,) = (tmp_path / "back").rglob(name)
    assert back.read_bytes() == content


def test_the_exports_hold_no_password(lake: LakeHome) -> None:
    """They may be pasted anywhere."""
    settings = current_settings(lake)
    text = exports(lake)
    assert not any(
        secret in text for secret in (*settings.secrets.values(), *settings.account_passwords.values())
    )
