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
from fdr.rucio_catalog import RucioCatalog
from fdr.rucio_inventory import RucioInventory
from fdr.rucio_rule_removal import RucioRuleRemoval
from fdr.rule_removal import RuleRemoval
from fdr.storage.base import Storage
from fdr.storage.gfal import GfalStorage

UPLOADS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Doors:
    """All that is asked of one lake: Rucio, what it has on record, its bytes, and the end of its rules."""

    catalog: Catalog
    inventory: Inventory
    storage: Storage
    rule_removal: RuleRemoval


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
        yield Doors(catalog, RucioInventory(catalog.door), storage, RucioRuleRemoval(catalog.door))
    finally:
        await catalog.close()
        await storage.close()
