"""Ways to disturb the tests' lake, each undone at the end of its block."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from fdr.connection import read_connection
from fdr.lake.home import LakeHome
from fdr.lake.supervision import Keeper
from fdr.rucio_door import RucioDoor

RUNS_WITHIN_S = 30


@contextmanager
def stopped(lake: LakeHome, service: str) -> Iterator[None]:
    """Stop a service of the lake, as an administrator does, and start it again."""
    keeper = Keeper(lake)
    keeper.end([service])
    try:
        yield
    finally:
        keeper.begin([service])
        deadline = time.monotonic() + RUNS_WITHIN_S
        while keeper.processes()[service].state != "RUNNING" and time.monotonic() < deadline:
            time.sleep(0.1)


def kill(lake: LakeHome, service: str) -> None:
    """Kill a service's process; the keeper starts it again."""
    psutil.Process(Keeper(lake).processes()[service].pid).kill()


def kill_server_worker(lake: LakeHome) -> None:
    """Kill one of the Rucio server's two worker processes; the server forks another."""
    worker, *_ = psutil.Process(Keeper(lake).processes()["rucio-server"].pid).children()
    worker.kill()


@contextmanager
def refusing(directory: Path) -> Iterator[None]:
    """Let nobody write in a directory of a storage, though it is there."""
    directory.mkdir(exist_ok=True)
    before = directory.stat()
    directory.chmod(0o555)
    owner = before.st_uid
    os.chown(directory, 0, 0)
    try:
        yield
    finally:
        os.chown(directory, owner, before.st_gid)
        directory.chmod(before.st_mode & 0o777)


@contextmanager
def switched_off(lake: LakeHome, rse: str, availability: str) -> Iterator[None]:
    """Switch an RSE's availability off for ``read``, ``write`` or ``delete``, as an operator would."""
    door = RucioDoor(read_connection(lake.client_cfg))

    def switch(on: bool) -> None:
        door._ask("root", lambda client: client.update_rse(rse, {f"availability_{availability}": on}))

    try:
        switch(False)
        yield
    finally:
        switch(True)
        door.close()
