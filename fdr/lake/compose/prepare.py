"""Make the lake of docker-compose.yml ready for a scenario: RSEs, accounts, identities, scopes, limits."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fdr.connection import read_connection
from fdr.errors import LakeUnusable
from fdr.lake.compose.places import BROKER, FTS, ROBOT, RUCIO, STORAGE_PORT, STORAGES
from fdr.lake.endpoints import administer
from fdr.lake.prepare import prepare_whole
from fdr.lake.settings import Site

if TYPE_CHECKING:
    from collections.abc import Callable

    from fdr.model import Scenario

SUBJECT = f"/CN={ROBOT}"
LISTEN_WITHIN_S = 120
POLL_S = 0.2


def prepare(client_cfg: Path, scenario: Scenario, say: Callable[[str], None]) -> list[str]:
    """Wait until every service listens, then make the lake ready, and return what was changed.

    Doing it twice changes nothing. Raises LakeUnusable when a service does not listen in time, or when the
    scenario has more RSEs than there are storages.
    """
    if len(scenario.rses) > len(STORAGES):
        raise LakeUnusable(
            f"{scenario.name} has {len(scenario.rses)} RSEs, and docker-compose.yml has {len(STORAGES)} "
            "storages: take a scenario with fewer"
        )
    for place in (RUCIO, FTS, BROKER, *((name, STORAGE_PORT) for name in STORAGES)):
        say(f"waiting for {place[0]}")
        _await_listening(*place)
    sites = {
        rse: Site(rse, host, STORAGE_PORT, 0, ("root",))
        for rse, host in zip(scenario.rses, STORAGES, strict=False)
    }
    accounts = {one.account: {SUBJECT: None} for one in scenario.experiments.values()}
    return administer(
        read_connection(client_cfg),
        lambda admin: prepare_whole(admin, scenario, sites, f"https://{FTS[0]}:{FTS[1]}", accounts),
    )


def _await_listening(host: str, port: int) -> None:
    deadline = time.monotonic() + LISTEN_WITHIN_S
    while True:
        try:
            socket.create_connection((host, port), timeout=2).close()
        except OSError as error:
            if time.monotonic() > deadline:
                raise LakeUnusable(
                    f"{host}:{port} does not listen ({error}): docker compose logs {host} says why"
                ) from error
            time.sleep(POLL_S)
        else:
            return
