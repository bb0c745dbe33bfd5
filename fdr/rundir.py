"""The directory of a run: where it is, and what lies in it."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from fdr.errors import UsageError

LOCK_TRIES, LOCK_AGAIN_S = 5, 0.05
RUN_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{4}")


def new_run_id(at: datetime) -> str:
    """Return an id such as 20261122T203015-7f3a: when, in UTC, and four random hexadecimal digits."""
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


@dataclass(frozen=True, slots=True)
class RunDir:
    """The files of one run."""

    path: Path

    @property
    def scenario(self) -> Path:
        """The scenario as run."""
        return self.path / "scenario.yaml"

    @property
    def journal(self) -> Path:
        """The record."""
        return self.path / "journal.sqlite"

    @property
    def log(self) -> Path:
        """What fdr and its libraries had to say."""
        return self.path / "run.log"

    @property
    def html(self) -> Path:
        """The report for people."""
        return self.path / "report.html"

    @property
    def json(self) -> Path:
        """The report for programs."""
        return self.path / "report.json"

    @property
    def stop_request(self) -> Path:
        """The wish of another process that the run stop; there is none but while the run is held."""
        return self.path / "stop.request"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run, so that no second process works on it; the lock falls with the process.

        A request to stop that was meant for an earlier process is forgotten, and so is this one's at the end.
        Raises UsageError when another process holds it, and when the directory cannot be written or locked.
        """
        with _opened(self.path / "lock") as file:
            if not locks(file):
                raise UsageError(f"{self.path}: this run is alive in another process")
            try:
                self.stop_request.unlink(missing_ok=True)
                yield
            finally:
                self.stop_request.unlink(missing_ok=True)

    @property
    def is_held(self) -> bool:
        """Whether a process holds the run now, on this machine or another that shares its locks.

        Raises UsageError when the lock cannot be asked.
        """
        try:
            with (self.path / "lock").open("r") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        except OSError as error:
            raise UsageError(f"{self.path}/lock: cannot be asked: {error.strerror}") from error
        return False


def _opened(path: Path) -> IO[str]:
    with writing(path):
        return path.open("w")


def locks(file: IO[str]) -> bool:
    """Lock a file, and say whether that worked; one who only asks whether it is locked is waited for.

    Raises UsageError where the file system has no locks.
    """
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOCK_AGAIN_S)
        except OSError as error:
            raise UsageError(f"{file.name}: cannot be locked: {error.strerror}") from error
        else:
            return True
    return False


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell a person what cannot be written and why: raises UsageError where the block meets an OSError."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error


def runs_root() -> Path:
    """Return where runs are kept: $FDR_RUNS, or ``runs`` in the working directory."""
    return Path(os.environ.get("FDR_RUNS", "runs"))


def make_run_dir(run: str, chosen: Path | None) -> RunDir:
    """Make the directory of a new run, ``chosen`` or one named by its id below ``runs_root()``.

    Raises UsageError when it cannot be made or holds a run already.
    """
    directory = open_run_dir(chosen or runs_root() / run)
    if directory.journal.exists():
        raise UsageError(f"{directory.path}: holds a run already (choose another --run-dir)")
    return directory


def open_run_dir(path: Path) -> RunDir:
    """Return the directory of a run that there may be already; it is made where it is missing.

    Raises UsageError when it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path}: the run directory cannot be made: {error.strerror}") from error
    return RunDir(path)


def find_run_dir(run: str | None) -> RunDir:
    """Return a run's directory by its path or id; None is the latest. Raises UsageError if there is none."""
    if run is None:
        return _latest()
    for path in (Path(run), runs_root() / run):
        if RunDir(path).journal.is_file():
            return RunDir(path)
    raise UsageError(f"{run}: there is no such run here (a run directory, or an id below {runs_root()}/)")


def _latest() -> RunDir:
    root = runs_root()
    ids = sorted(
        path.name
        for path in (root.iterdir() if root.is_dir() else ())
        if RUN_ID.fullmatch(path.name) and RunDir(path).journal.is_file()
    )
    if not ids:
        raise UsageError(f"{root}/: holds no run yet (name a run directory, or run a scenario first)")
    return RunDir(root / ids[-1])
