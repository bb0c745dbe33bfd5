"""Reach a lake: how to connect to it, and the doors to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fdr.catalog import Catalog
from fdr.connection import Connection, read_connection
from fdr.errors import LakeUnusable
from fdr.inventory import Inventory
from fdr.lake.home import LakeHome
from fdr.removal import Removal
from fdr.rucio_catalog import RucioCatalog
from fdr.rucio_inventory import RucioInventory
from fdr.rucio_removal import RucioRemoval
from fdr.rucio_rule_removal import RucioRuleRemoval
from fdr.rule_removal import RuleRemoval
from fdr.storage.base import Storage
from fdr.storage.gfal import GfalStorage

UPLOADS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Doors:
    """All that is asked of one lake: Rucio, its records, what removes from it, and the bytes at its RSEs."""

    catalog: Catalog
    inventory: Inventory
    removal: Removal
    rule_removal: RuleRemoval
    storage: Storage


def connect(lake: str) -> Connection:
    """Return the lake to use: ``local`` is the embedded one, anything else the path of a rucio.cfg.

    Raises LakeUnusable when there is none.
    """
    if lake != "local":
        return read_connection(Path(lake))
    home = LakeHome.default()
    if not home.client_cfg.exists():
        raise LakeUnusable(f"{home.directory}: there is no lake: run 'fdr lake up', or name one with --lake")
    return read_connection(home.client_cfg)


@asynccontextmanager
async def reach(connection: Connection, requests_per_second: float | None = None) -> AsyncIterator[Doors]:
    """Open the doors to a lake for the length of the block.

    ``requests_per_second`` bounds what Rucio is sent. Raises LakeUnusable where gfal2 is missing.
    """
    storage = GfalStorage(
        threads=UPLOADS_AT_ONCE,
        x509_cert_dir=connection.x509_cert_dir,
        bearer_token=connection.bearer_token,
        loopback_only=connection.embedded_home is not None,
    )
    catalog = RucioCatalog(connection, requests_per_second)
    try:
        door = catalog.door
        yield Doors(catalog, RucioInventory(door), RucioRemoval(door), RucioRuleRemoval(door), storage)
    finally:
        await catalog.close()
        await storage.close()
