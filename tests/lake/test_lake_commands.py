"""``fdr lake …`` as a person or a script types it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from fdr.errors import UsageError
from fdr.lake.commands import app
from fdr.lake.prepare import prepare_embedded
from tests.lake.smoke import SMOKE, smoke

if TYPE_CHECKING:
    from pathlib import Path

    from fdr.lake.home import LakeHome

pytestmark = pytest.mark.lake


def typed(lake: LakeHome, *words: str) -> str:
    """Return what a command prints."""
    done = CliRunner().invoke(app, [*words, "--dir", str(lake.directory)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_status_is_there_for_scripts(lake: LakeHome) -> None:
    """One object a service, with what the table has."""
    rows = json.loads(typed(lake, "status", "--json"))
    postgres = next(row for row in rows if row["service"] == "postgres")
    assert postgres["state"] == "RUNNING"
    assert postgres["pid"] > 1
    assert postgres["memory_bytes"] > 10_000_000
    assert postgres["restarts"] == 0
    assert postgres["cpu"] >= 0


def test_status_is_there_for_people(lake: LakeHome) -> None:
    """Every service has its line."""
    text = typed(lake, "status")
    assert all(word in text for word in ("keeper", "hermes", "reaper", "RUNNING", "restarts"))


def test_logs_of_one_service_or_of_all(lake: LakeHome) -> None:
    """As many lines as asked for; of all services, each with its name before."""
    assert len(typed(lake, "logs", "keeper", "-n", "3").splitlines()) == 3
    names = {line.split(":")[0] for line in typed(lake, "logs", "-n", "1").splitlines()}
    assert {"keeper", "postgres", "rucio-server", "hermes", "broker"} <= names


def test_up_prepares_for_a_scenario(lake: LakeHome) -> None:
    """On a lake that is up and ready nothing is left to do, and both are said."""
    assert typed(lake, "up", str(SMOKE)) == "the lake is up\nthe lake is ready for smoke (0 changes)\n"


def test_a_copy_mode_that_is_none_is_refused(lake: LakeHome) -> None:
    """With those there are."""
    with pytest.raises(UsageError, match="third-party, streamed"):
        typed(lake, "up", "--copy", "fast")


def test_a_proxy_in_the_environment_does_not_stand_in_the_way(
    lake: LakeHome, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Laptops in institutes have one; the lake is not behind it."""
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert prepare_embedded(lake, smoke()) == []
