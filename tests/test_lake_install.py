"""The environment of the lake's services: made once, whole or not at all."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from fdr.errors import LakeUnusable
from fdr.lake import install
from fdr.lake.install import REQUIREMENTS, is_installed, lake_environment

if TYPE_CHECKING:
    from pathlib import Path


def silent(_: str) -> None:
    """Say nothing."""


def test_an_environment_that_is_complete_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is run a second time."""
    monkeypatch.setenv("FDR_LAKE_VENV", str(tmp_path / "venv"))
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / install.COMPLETE).touch()
    monkeypatch.setattr(install, "_run", lambda *_: pytest.fail("something was run"))
    assert install.install(silent) == tmp_path / "venv" / "bin" / "python"


def test_a_half_made_environment_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a broken attempt left is removed, and a failure leaves no mark of completeness."""
    venv = tmp_path / "venv"
    monkeypatch.setenv("FDR_LAKE_VENV", str(venv))
    venv.mkdir()
    (venv / "pyvenv.cfg").touch()
    (venv / "left-over").touch()
    commands: list[list[str]] = []

    def fail_at_pip(command: list[str], doing: str) -> None:
        commands.append(command)
        if "pip" in command:
            raise LakeUnusable(f"{doing} failed")

    monkeypatch.setattr(install, "_run", fail_at_pip)
    with pytest.raises(LakeUnusable, match="packages failed"):
        install.install(silent)
    assert not (venv / "left-over").exists()
    assert not is_installed()
    assert "--require-hashes" in commands[-1]


def test_a_directory_of_somebody_else_is_not_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FDR_LAKE_VENV may be mistyped."""
    monkeypatch.setenv("FDR_LAKE_VENV", str(tmp_path))
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(LakeUnusable, match="not a virtual environment"):
        install.install(silent)
    assert (tmp_path / "thesis.tex").exists()


def test_a_failure_shows_the_end_of_what_was_said(tmp_path: Path) -> None:
    """Only the last lines, and what was being done."""
    script = tmp_path / "pip"
    script.write_text("#!/bin/sh\nseq 100\necho no network >&2\nexit 1\n")
    script.chmod(0o755)
    with pytest.raises(LakeUnusable) as failed:
        install._run([str(script)], "installing packages")
    lines = str(failed.value).splitlines()
    assert lines[0] == "installing packages failed; the last lines said:"
    assert lines[-2:] == ["100", "no network"]
    assert "85" not in lines
    with pytest.raises(LakeUnusable, match="No such file"):
        install._run([str(tmp_path / "nothing")], "installing packages")


def test_new_requirements_mean_a_new_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old environment is never used with a new lock file."""
    monkeypatch.delenv("FDR_LAKE_VENV", raising=False)
    before = lake_environment()
    other = tmp_path / "requirements.txt"
    other.write_text(REQUIREMENTS.read_text() + "\n")
    monkeypatch.setattr(install, "REQUIREMENTS", other)
    assert lake_environment() != before
    assert lake_environment().parent == before.parent


def test_the_lock_file_names_no_index_and_hashes_everything() -> None:
    """It installs from wherever pip is configured to, and only what was locked."""
    text = REQUIREMENTS.read_text()
    assert "index-url" not in text
    assert "find-links" not in text
    pins = [line for line in text.splitlines() if "==" in line and not line.startswith((" ", "#"))]
    assert any(line.startswith("rucio==41.5.1") for line in pins)
    assert all(line.endswith("\\") for line in pins)


def test_two_at_once_make_one_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes second waits, and finds it made."""
    venv = tmp_path / "venv"
    monkeypatch.setenv("FDR_LAKE_VENV", str(venv))
    made: list[str] = []

    def make_slowly(command: list[str], doing: str) -> None:
        if "venv" in command:
            made.append(doing)
            venv.mkdir()
            time.sleep(0.2)

    monkeypatch.setattr(install, "_run", make_slowly)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(install.install, [silent] * 4))
    assert made == ["making a virtual environment"]
