"""A lake that cannot come up says why and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fdr.errors import LakeUnusable
from fdr.lake import embedded
from fdr.lake.home import LakeHome
from fdr.lake.orphans import processes_of
from fdr.lake.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lake


@pytest.fixture
def home() -> Iterator[LakeHome]:
    """A lake that has not been made yet."""
    directory = Path(tempfile.mkdtemp(prefix="fdr-test-", dir="/var/tmp"))
    directory.chmod(0o755)
    yield LakeHome(directory / "lake")
    embedded.reset(LakeHome(directory / "lake"))
    shutil.rmtree(directory)


def test_the_log_of_the_service_that_failed_is_shown(home: LakeHome) -> None:
    """PostgreSQL on a cluster that is none: its own words, no password, and no process left."""
    home.make()
    cluster = home.postgres / "cluster"
    cluster.mkdir(parents=True)
    (home.postgres / "complete").touch()
    if os.geteuid() == 0:
        for path in (home.postgres, cluster):
            shutil.chown(path, "postgres")
    cluster.chmod(0o700)
    with pytest.raises(
        LakeUnusable, match=r"(?s)postgres has ended.*could not access the server configuration"
    ) as failed:
        embedded.up(home)
    settings = read_settings(home.settings_file)
    assert settings is not None
    assert not any(secret in str(failed.value) for secret in settings.secrets.values())
    assert processes_of(home) == []
    assert not embedded.is_up(home)


def test_an_fts_that_does_not_answer_is_told_before_anything_starts(home: LakeHome) -> None:
    """The one thing of the lake that is not ours is asked first."""
    said: list[str] = []
    with pytest.raises(LakeUnusable, match=r"http://127\.0\.0\.1:1: no FTS answers there"):
        embedded.up(home, fts_url="http://127.0.0.1:1", say=said.append)
    assert said == []
    assert processes_of(home) == []
