"""Ask Rucio which RSEs there are to probe, and what they offer."""

from __future__ import annotations

import asyncio
from typing import Any

from fdr.errors import LakeError, LakeUnusable, UsageError
from fdr.probe.asked import Asked, Part
from fdr.probe.site import Site, site_from
from fdr.rucio_door import RucioDoor

GONE = frozenset({"rse-not-found"})


async def ask(door: RucioDoor, asked: Asked) -> tuple[Site, ...]:
    """Return the RSEs that are to be probed, by name.

    Raises UsageError where there are none, or no two to copy between, or none of them has an FTS;
    LakeUnusable where Rucio cannot be asked.
    """
    account = asked.account or door.connection.account
    try:
        names = asked.scenario_rses
        if names is None:
            names = await _matching(door, account, asked.expression)
        sites = tuple(await asyncio.gather(*(_site(door, account, name) for name in sorted(names))))
    except LakeError as error:
        raise LakeUnusable(str(error)) from error
    _check(sites, asked)
    return sites


async def _matching(door: RucioDoor, account: str, expression: str) -> tuple[str, ...]:
    try:
        rows = await door.call(account, lambda client: list(client.list_rses(expression)))
    except LakeError as error:
        if error.reason == "invalid-rse-expression":
            return ()
        raise
    return tuple(row["rse"] for row in rows)


async def _site(door: RucioDoor, account: str, rse: str) -> Site:
    def look(client: Any) -> Site:
        return site_from(rse, client.get_rse(rse), client.list_rse_attributes(rse))

    try:
        return await door.call(account, look)
    except LakeError as error:
        if error.reason in GONE:
            return Site(rse, missing="is not an RSE of this lake")
        raise


def _check(sites: tuple[Site, ...], asked: Asked) -> None:
    if not sites:
        raise UsageError(f"{asked.expression!r} matches no RSE on this lake (write for example '*', or A|B)")
    if Part.TRANSFERS not in asked.parts:
        return
    if len(sites) < 2 and Part.STORAGES not in asked.parts:
        raise UsageError(f"{sites[0].rse} is alone: transfers want two RSEs or more (write for example A|B)")
    if len(sites) > 1 and not any(site.fts for site in sites):
        raise UsageError(
            "none of these RSEs has the attribute fts, which names the FTS that copies to it: an "
            "administrator sets it (or write --only storages)"
        )
