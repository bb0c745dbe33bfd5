"""Let one process at a time do what is not to be done twice at once in a directory of runs."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from fdr.errors import Busy
from fdr.rundir import locks, writing


@contextmanager
def alone(root: Path, command: str) -> Iterator[None]:
    """Let no other ``fdr COMMAND`` work with this directory; the lock falls with the process.

    Raises Busy when another does, UsageError when the lock cannot be made.
    """
    path = root / f"{command}.lock"
    with writing(path):
        root.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    with file:
        if not locks(file):
            file.seek(0)
            who = file.read().strip() or "just begun"
            raise Busy(f"another fdr {command} is under way in {root} ({who})")
        file.truncate(0)
        file.write(f"process {os.getpid()}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
            fcntl.flock(file, fcntl.LOCK_UN)
