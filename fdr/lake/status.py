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
    from collections.abc import Callable, Sequence

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
    trees = _Trees()
    pid = keeper.pid()
    tree = trees.alone(pid)  # its children are the other services
    uptime = now - tree[0].create_time() if tree else 0.0
    found = [_status(KEEPER, "RUNNING", pid, tree, 0, uptime, "", counts_dead=False)]
    for process in sorted(known.values(), key=lambda process: process.name):
        if process.name == BOOTSTRAP:
            continue
        uptime = now - process.started_at if process.pid else 0.0
        why = "" if process.state in ("RUNNING", "STARTING") else process.why
        tree = trees.whole(process.pid)
        count = restarts.get(process.name, 0)
        found.append(_status(process.name, process.state, process.pid, tree, count, uptime, why))
    return found


def with_cpu(look: Callable[[], list[ServiceStatus]], over_s: float = 1) -> list[tuple[ServiceStatus, float]]:
    """Look twice and return every service with the CPU it used in between, in cores."""
    before = {(row.service, row.pid): row.cpu_seconds for row in look()}
    began = time.monotonic()
    time.sleep(over_s)
    rows = look()
    passed = time.monotonic() - began
    return [
        (row, max(0.0, row.cpu_seconds - before.get((row.service, row.pid), row.cpu_seconds)) / passed)
        for row in rows
    ]


def _status(
    name: str,
    state: str,
    pid: int,
    tree: Sequence[psutil.Process],
    restarts: int,
    uptime_s: float,
    why: str,
    *,
    counts_dead: bool = True,
) -> ServiceStatus:
    cpu = memory = 0.0
    for process in tree:
        with contextlib.suppress(psutil.Error):
            used = process.cpu_times()
            cpu += used.user + used.system
            if counts_dead:
                cpu += used.children_user + used.children_system
            memory += _memory(process)
    return ServiceStatus(
        service=name,
        state=state,
        pid=pid,
        processes=len(tree),
        cpu_seconds=round(cpu, 2),
        memory_bytes=int(memory),
        restarts=restarts,
        uptime_s=round(uptime_s, 1),
        why=why,
    )


class _Trees:
    """The processes of this machine by parent, as they are now: one look for all services."""

    def __init__(self) -> None:
        self._children: dict[int, list[psutil.Process]] = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                self._children.setdefault(process.ppid(), []).append(process)

    def alone(self, pid: int) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            return [psutil.Process(pid)] if pid else []
        return []

    def whole(self, pid: int) -> list[psutil.Process]:
        found = self.alone(pid)
        for process in found:  # grows as it goes
            found += self._children.get(process.pid, [])
        return found


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
