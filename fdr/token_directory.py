"""A private directory for a process's tokens; if that process is killed, the next one removes it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

PREFIX = "fdr-login-"
YOUNG_S = 60.0  # the process of one so new may be about to lock it


class TokenDirectory:
    """A directory that nobody else may enter, locked as long as its process lives."""

    def __init__(self) -> None:
        """Make it where temporary files go, and remove those that this user's killed processes left."""
        for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
            if _is_left_behind(path):
                shutil.rmtree(path, ignore_errors=True)
        self._held = contextlib.ExitStack()
        name = self._held.enter_context(
            tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
        )
        self.path = Path(name)
        lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        self._held.callback(os.close, lock)
        with contextlib.suppress(OSError):  # without locks there, nothing is ever found to be left behind
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        """Remove it; closing again does nothing."""
        self._held.close()


def _is_left_behind(path: Path) -> bool:
    """Say whether a directory is this user's, and no process holds it."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        told = os.fstat(lock)
        if told.st_uid != os.geteuid() or time.time() - told.st_mtime < YOUNG_S:
            return False
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True
