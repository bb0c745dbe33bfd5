"""Find and end processes of a lake that have outlived their keeper, and nobody else's."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import psutil

from fdr.lake.supervision import PROCESS_MARK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fdr.lake.home import LakeHome

POLL_S = 0.05


def processes_of(home: LakeHome) -> list[psutil.Process]:
    """Return every process of this lake, whoever its parent is.

    Each carries the lake's directory in the environment it was started with. PostgreSQL's overwrite
    theirs; they name the lake's cluster on the command line, or have a parent that does.
    """
    cluster = f"{home.postgres}/cluster"
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            marked = process.environ().get(PROCESS_MARK) == str(home.directory)
            if marked or (process.name() == "postgres" and cluster in process.cmdline()):
                for one in (process, *process.children(recursive=True)):
                    found[one.pid] = one
    return list(found.values())


def runs(pid: int) -> bool:
    """Tell whether a process is there and has not ended, though its parent may not have noticed."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def await_end(processes: Sequence[psutil.Process], within_s: float) -> list[psutil.Process]:
    """Wait until processes have ended, for so many seconds at most, and return those that have not.

    One that is ending has given its memory back, and its environment with it, before it is gone: ask here,
    by its id, and not ``processes_of``, whether a process known before has ended.
    """
    deadline = time.monotonic() + within_s
    while alive := [process for process in processes if process.is_running() and runs(process.pid)]:
        if time.monotonic() > deadline:
            break
        time.sleep(POLL_S)
    return alive


def end_processes(home: LakeHome, within_s: float = 10) -> int:
    """End every process of this lake, politely and then not, and return how many there were."""
    processes = processes_of(home)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    alive = await_end(processes, within_s)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    await_end(alive, within_s)
    return len(processes)
