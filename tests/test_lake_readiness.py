"""Waiting for services: what is said when one does not come."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fdr.errors import LakeUnusable
from fdr.lake.home import LakeHome
from fdr.lake.readiness import log_end, wait_for
from fdr.lake.settings import new_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = new_settings("third-party", None)


@pytest.fixture
def home() -> Iterator[LakeHome]:
    """A lake that was made, with a log of one service."""
    with tempfile.TemporaryDirectory(prefix="fdr-home-", dir="/var/tmp") as name:
        os.chmod(name, 0o755)
        lake = LakeHome(Path(name) / "lake")
        lake.make()
        lines = [f"line {number}" for number in range(100)]
        lines.append(f"cannot connect as fdr:{SETTINGS.secrets['broker']}@127.0.0.1")
        (lake.logs / "hermes.log").write_text("\n".join(lines) + "\n")
        yield lake


def test_a_service_that_ended_is_not_waited_for(home: LakeHome) -> None:
    """The end of its log is shown at once, without the password in it."""
    with pytest.raises(LakeUnusable, match=r"hermes has ended.*hermes\.log") as failed:
        wait_for(home, SETTINGS, "hermes", lambda: False, alive=lambda: False)
    assert str(failed.value).endswith("line 99\ncannot connect as fdr:***@127.0.0.1")
    assert "line 79" not in str(failed.value)


def test_a_service_that_never_answers_is_given_up(home: LakeHome) -> None:
    """The message names the service and the time it had."""
    with pytest.raises(LakeUnusable, match="broker did not answer within 0 s"):
        wait_for(home, SETTINGS, "broker", lambda: False, alive=lambda: True, within_s=0)


def test_what_answers_is_waited_for_no_longer(home: LakeHome) -> None:
    """A service may need a few looks, and is not asked again once it answered."""
    answers = iter([False, False, True])
    wait_for(home, SETTINGS, "hermes", lambda: next(answers), alive=lambda: True)
    assert list(answers) == []


def test_a_service_without_a_log_is_said_to_have_none(home: LakeHome) -> None:
    """Nothing is better than a traceback."""
    assert "says nothing" in log_end(home, SETTINGS, "fts")
