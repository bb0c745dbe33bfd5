"""The directory of a lake: what is refused, what is removed, who may change it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fdr.errors import LakeUnusable, UsageError
from fdr.lake.embedded import reset
from fdr.lake.home import MARKER, LakeHome

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user of the machine can enter."""
    with tempfile.TemporaryDirectory(prefix="fdr-home-", dir="/var/tmp") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def test_reset_removes_nothing_that_is_not_a_lake(place: Path) -> None:
    """A directory without fdr's marker stays, with all that is in it."""
    (place / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="not a lake of fdr"):
        reset(LakeHome(place))
    assert (place / "thesis.tex").read_text() == "years of work"


def test_reset_removes_nothing_behind_a_link(place: Path) -> None:
    """A link to a lake is not followed."""
    lake = LakeHome(place / "lake")
    lake.make()
    (place / "link").symlink_to(lake.directory)
    with pytest.raises(UsageError, match="nothing was removed"):
        LakeHome(place / "link").remove()
    assert lake.marker.exists()


def test_reset_removes_a_lake_whole(place: Path) -> None:
    """Neither the directory nor its lock file is left."""
    lake = LakeHome(place / "lake")
    lake.make()
    reset(lake)
    assert list(place.iterdir()) == []


def test_a_lake_is_not_made_among_files_of_others(place: Path) -> None:
    """A directory that holds something else does not become a lake, so that reset never removes it."""
    (place / "file").touch()
    with pytest.raises(LakeUnusable, match="not empty"):
        LakeHome(place).make()
    assert not (place / MARKER).exists()


def test_secrets_are_where_only_the_owner_can_read(place: Path) -> None:
    """Configuration, sockets and client files are closed to others."""
    lake = LakeHome(place / "lake")
    lake.make()
    assert [path.stat().st_mode & 0o777 for path in (lake.etc, lake.run, lake.client_home)] == [0o700] * 3


def test_a_path_too_long_for_sockets_is_refused_with_the_room_there_is(place: Path) -> None:
    """The message says how long the path may be, and that length is right."""
    with pytest.raises(LakeUnusable, match="too long for Unix sockets") as refused:
        LakeHome(place / ("x" * 100)).make()
    room = int(str(refused.value).split("at most ")[1].split()[0])
    filled = room - len(str(place)) - 1
    LakeHome(place / ("x" * filled)).make()
    with pytest.raises(LakeUnusable, match="too long"):
        LakeHome(place / ("x" * (filled + 1))).make()


@pytest.mark.parametrize("name", ["my lake", "lake%20", "lake;1", "läke"])
def test_a_path_that_configuration_files_cannot_hold_is_refused(place: Path, name: str) -> None:
    """Spaces, percent signs and the like are refused before anything is written."""
    with pytest.raises(LakeUnusable, match="cannot hold this path"):
        LakeHome(place / name).make()
    assert not (place / name).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="services only change their user when root starts them")
def test_a_lake_that_its_services_cannot_enter_is_refused(place: Path) -> None:
    """Root is told which directory keeps the users postgres and xrootd out."""
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(LakeUnusable, match=f"{closed}: the users postgres and xrootd"):
        LakeHome(closed / "lake").make()


def test_one_change_at_a_time(place: Path) -> None:
    """Whoever comes second is told so at once."""
    lake = LakeHome(place / "lake")
    with lake.lock(), pytest.raises(LakeUnusable, match="another fdr is changing this lake"), lake.lock():
        pass
    with lake.lock():  # and it can be had again
        pass


def test_the_usual_place_can_be_overridden(monkeypatch: pytest.MonkeyPatch) -> None:
    """--dir comes before FDR_LAKE_DIR, and that before the usual place."""
    monkeypatch.setenv("FDR_LAKE_DIR", "/srv/lake")
    assert LakeHome.default().directory == Path("/srv/lake")
    assert LakeHome.default(Path("/srv/other")).directory == Path("/srv/other")
    monkeypatch.delenv("FDR_LAKE_DIR")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", "/home/ada/state")
    assert LakeHome.default().directory == Path("/home/ada/state/fdr/lake")
