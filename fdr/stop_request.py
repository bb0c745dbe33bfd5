"""The file in a run's directory by which another process asks the run to stop."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import socket
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from fdr.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from fdr.stop import Stop

LOOK_EVERY_S = 1.0
ASKED = "fdr stop"  # how a note says that somebody wanted the run to stop


class How(StrEnum):
    """How a run is to stop."""

    ORDERLY = "orderly"  # nothing more is started; what Rucio was asked for goes on
    NOW = "now"  # and what its rules have not done yet is cancelled


@dataclass(frozen=True, slots=True)
class StopRequest:
    """Who asked a run to stop, when (ISO 8601, UTC) and how."""

    how: How
    at: str
    by: str


def ask_to_stop(path: Path, how: How) -> StopRequest:
    """Write a request, whole or not at all, in place of an earlier one.

    Raises UsageError when the directory cannot be written.
    """
    request = StopRequest(how, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", _who())
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name, delete=False) as file:
            file.write(json.dumps(asdict(request)) + "\n")
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written: {error.strerror} (be the user who runs it, or send it SIGTERM)"
        ) from error
    return request


def requested_stop(path: Path) -> StopRequest | None:
    """Return the request that waits in a file, None where there is none.

    Whatever else stands there asks for an orderly stop: ``touch stop.request`` will do.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    try:
        told = json.loads(text)
        return StopRequest(How(told["how"]), str(told["at"]), str(told["by"]))
    except (ValueError, KeyError, TypeError):
        return StopRequest(How.ORDERLY, "", "somebody")


async def obey(path: Path, stop: Stop) -> None:
    """Look for a request every LOOK_EVERY_S, for ever, and stop the run as it says.

    A later one may ask for more: ``now`` after ``orderly``.
    """
    while True:
        request = await asyncio.to_thread(requested_stop, path)
        if request is not None:
            now = request.how is How.NOW
            stop.because("interrupted", f"{ASKED}{' --now' if now else ''}, by {request.by}", cancel=now)
        await asyncio.sleep(LOOK_EVERY_S)


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
