"""Tokens lie where nobody else may read them, and do not stay behind their process for good."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest

from fdr.token_directory import PREFIX, YOUNG_S, TokenDirectory
from tests.held_elsewhere import held_elsewhere

ELSEWHERE = "from contextlib import closing; from fdr.token_directory import TokenDirectory"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let temporary files go to a directory of the test's."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # for other processes
    return tmp_path


def age(path: Path) -> None:
    then = time.time() - YOUNG_S - 1
    os.utime(path, (then, then))


def test_nobody_else_may_enter_it_and_it_goes_when_it_is_closed() -> None:
    """Whatever lies in it by then."""
    directory = TokenDirectory()
    assert directory.path.stat().st_mode & 0o777 == 0o700
    (directory.path / "cta-0").mkdir()
    (directory.path / "cta-0" / "token").touch()
    directory.close()
    assert not directory.path.exists()


def test_what_is_in_use_stays_and_what_a_killed_process_left_goes(temporary: Path) -> None:
    """However old it is; its tokens may be good for an hour yet."""
    with held_elsewhere(ELSEWHERE, "closing(TokenDirectory())"):
        (path,) = temporary.iterdir()
        age(path)
        TokenDirectory().close()
        assert path.exists()
    assert path.exists()
    TokenDirectory().close()
    assert not path.exists()


def test_what_is_not_left_behind_stays(temporary: Path) -> None:
    """One that was made just now, a link to elsewhere, a file, and what has another name."""
    new, elsewhere, file = (temporary / f"{PREFIX}{name}" for name in ("new", "link", "file"))
    target, other = temporary / "target", temporary / "fdr-other-1"
    for path in (new, target, other):
        path.mkdir()
    elsewhere.symlink_to(target)
    file.touch()
    for path in (target, other, file):
        age(path)
    TokenDirectory().close()
    assert all(path.exists() for path in (new, elsewhere, target, file, other))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another's directory")
def test_what_is_anothers_stays(temporary: Path) -> None:
    """Root cleans up after itself alone."""
    path = temporary / f"{PREFIX}anothers"
    path.mkdir()
    os.chown(path, 1000, 1000)
    age(path)
    TokenDirectory().close()
    assert path.exists()
