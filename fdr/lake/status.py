"""What every service of an embedded lake is doing, and what it uses."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from fdr.errors import LakeUnusable
from fdr.lake.rucio_services import BOOTSTRAP
from fdr.lake.supervision import KEEPER, Keeper

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fdr.lake.home import LakeHome


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service with all its descendants.

    ``pid`` is 0 when it does not run. ``cpu_seconds`` counts since the process ``pid`` began, ended
    descendants included. ``memory_bytes`` is proportional set size: pages shared by several processes
    (the daemons are forks of one) are divided among them, so that services can be added up.
    ``restarts`` counts since the lake came up, and only those that followed a death. ``why`` says why a
    service that should run does not.
    """

    service: str
    state: str
    pid: int
    processes: int
    cpu_seconds: float
    memory_bytes: int
    restarts: int
    uptime_s: float
    why: str


def status(home: LakeHome) -> list[ServiceStatus]:
    """Return the status of every service, the keeper first. Raises LakeUnusable when the lake is down."""
    keeper = Keeper(home)
    known = keeper.processes()
    restarts = _restarts(home)
    now = time.time()
    found = [_status(KEEPER, "RUNNING", keeper.pid(), {}, 0.0, "", alone=True)]
    for process in sorted(known.values(), key=lambda process: process.name):
        if process.name == BOOTSTRAP:
            continue
        uptime = now - process.started_at if process.pid else 0.0
        why = "" if process.state in ("RUNNING", "STARTING") else process.why
        found.append(_status(process.name, process.state, process.pid, restarts, uptime, why))
    return found


def _status(
    name: str,
    state: str,
    pid: int,
    restarts: Mapping[str, int],
    uptime_s: float,
    why: str,
    *,
    alone: bool = False,
) -> ServiceStatus:
    processes = _tree(pid, alone)
    if alone and processes:
        uptime_s = time.time() - processes[0].create_time()
    cpu = memory = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            used = process.cpu_times()
            cpu += used.user + used.system
            if not alone:  # the keeper's dead children are other services' restarts
                cpu += used.children_user + used.children_system
            memory += _memory(process)
    return ServiceStatus(
        service=name,
        state=state,
        pid=pid,
        processes=len(processes),
        cpu_seconds=round(cpu, 2),
        memory_bytes=int(memory),
        restarts=restarts.get(name, 0),
        uptime_s=round(uptime_s, 1),
        why=why,
    )


def _tree(pid: int, alone: bool) -> list[psutil.Process]:
    if pid == 0:
        return []
    try:
        root = psutil.Process(pid)
        return [root] if alone else [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.AccessDenied:
        return int(process.memory_info().rss)


def _restarts(home: LakeHome) -> dict[str, int]:
    try:
        counts: dict[str, int] = json.loads((home.run / "restarts.json").read_text())
    except (OSError, ValueError) as error:
        raise LakeUnusable(f"{home.directory}: the restart counts cannot be read: {error}") from error
    return counts
