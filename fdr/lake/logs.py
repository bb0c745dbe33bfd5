"""Read the logs of a lake's services, without any secret of the lake."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from fdr.errors import UsageError
from fdr.lake.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fdr.lake.home import LakeHome

FOLLOW_S = 0.2


def log_files(home: LakeHome, service: str | None) -> list[Path]:
    """Return the log of a service, or of all. Raises UsageError when there is none of that name."""
    found = sorted(home.logs.glob("*.log"))
    if service is None:
        return found
    known = [path.stem for path in found]
    if service not in known:
        raise UsageError(f"no log of {service!r}: write one of {', '.join(known) or '(there is no lake)'}")
    return [home.logs / f"{service}.log"]


def last_lines(home: LakeHome, service: str | None, lines: int) -> Iterator[str]:
    """Give the last lines of a service's log; of all logs, each line with the service's name before it."""
    for path in log_files(home, service):
        with path.open(errors="replace") as file:
            for line in deque(file, maxlen=lines):
                yield _shown(home, path, service, line)


def follow(home: LakeHome, service: str | None) -> Iterator[str]:
    """Give every line that is written to the logs from now on, until the caller stops asking."""
    places = {path: path.stat().st_size for path in log_files(home, service)}
    while True:
        for path, place in places.items():
            size = path.stat().st_size if path.exists() else 0
            if size == place:
                continue
            with path.open("rb") as file:
                file.seek(place if size > place else 0)  # a log that shrank was begun anew
                content = file.read()
            whole = content.rfind(b"\n") + 1
            places[path] = (place if size > place else 0) + whole
            for line in content[:whole].decode(errors="replace").splitlines():
                yield _shown(home, path, service, line)
        time.sleep(FOLLOW_S)


def _shown(home: LakeHome, path: Path, service: str | None, line: str) -> str:
    settings = read_settings(home.settings_file)
    text = line.rstrip("\n")
    text = settings.redact(text) if settings else text
    return text if service else f"{path.stem}: {text}"
