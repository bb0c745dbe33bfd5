"""Find and end processes of a lake that have outlived their keeper, and nobody else's."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psutil

from fdr.lake.supervision import PROCESS_MARK

if TYPE_CHECKING:
    from fdr.lake.home import LakeHome


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


def end_processes(home: LakeHome, within_s: float = 10) -> int:
    """End every process of this lake, politely and then not, and return how many there were."""
    processes = processes_of(home)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=within_s)
    return len(processes)
