"""The addresses under which Rucio knows the storages and the FTS of an embedded lake."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from fdr.connection import read_connection
from fdr.lake.rucio_admin import RucioAdmin, WantedRse
from fdr.lake.settings import LOOPBACK, PREFIXES
from fdr.rucio_door import RucioDoor

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from fdr.connection import Connection
    from fdr.lake.home import LakeHome
    from fdr.lake.settings import Settings, Site

GFAL = "rucio.rse.protocols.gfal.Default"
# XRootD 5.5.3 crashes or stops answering under https copies: see docs/decisions/copies-over-root.md.
COPY_ORDER = ("root", "davs")


def protocols(site: Site) -> tuple[Mapping[str, Any], ...]:
    """Return the protocols of an RSE as Rucio takes them, with priorities in the order it prefers."""
    copying = [scheme for scheme in COPY_ORDER if scheme in site.protocols]
    rows = []
    for place, scheme in enumerate(site.protocols, start=1):
        own = {"read": place, "write": place, "delete": place}
        copy = copying.index(scheme) + 1
        rows.append(
            {
                "scheme": scheme,
                "hostname": site.address,
                "port": site.port(scheme),
                "prefix": PREFIXES[scheme],
                "impl": GFAL,
                "domains": {
                    "lan": own,
                    "wan": {**own, "third_party_copy_read": copy, "third_party_copy_write": copy},
                },
            }
        )
    return tuple(rows)


def bypass_proxies() -> None:
    """Let this process reach the lake directly, whatever proxy its environment names for the rest."""
    for name in ("no_proxy", "NO_PROXY"):
        known = os.environ.get(name, "").split(",")
        if LOOPBACK not in known:
            os.environ[name] = ",".join(filter(None, [*known, LOOPBACK]))


def administer(
    connection: Connection, prepare: Callable[[RucioAdmin], Coroutine[Any, Any, list[str]]]
) -> list[str]:
    """Run changes to Rucio as the account of the connection, and return what was done."""
    if connection.embedded_home is not None:
        bypass_proxies()
    door = RucioDoor(connection)
    try:
        return asyncio.run(prepare(RucioAdmin(door, connection.account)))
    finally:
        door.close()


def restore_endpoints(home: LakeHome, settings: Settings) -> list[str]:
    """Tell Rucio where the storages and the FTS are now: ports change when something else took them."""
    wanted = [
        WantedRse(site.rse, protocols(site), {"fts": settings.fts}, None, None)
        for site in settings.sites.values()
    ]
    return administer(read_connection(home.client_cfg), lambda admin: admin.prepare_rses(wanted))
