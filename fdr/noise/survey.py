"""Find out which RSEs noise can be made between: what Rucio says of them, and a small file at each."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

from fdr.catalog import Catalog, RseFacts
from fdr.errors import LakeError, LakeUnusable, UsageError
from fdr.noise.pair import Part
from fdr.noise.recipe import Recipe
from fdr.pfn import Locator
from fdr.preflight import try_writing
from fdr.rucio_schema import RSE_PATTERN
from fdr.storage.base import Storage


async def survey(recipe: Recipe, run: str, catalog: Catalog, storage: Storage) -> list[Part]:
    """Return the part that each RSE of the recipe's expression can take, by name.

    A small file is put at every RSE that may be written to, and removed. Raises UsageError where there are
    not two RSEs, LakeUnusable where Rucio cannot be asked.
    """
    try:
        limits = await catalog.account_limits(recipe.account)
        names = sorted(await catalog.matching_rses(recipe.account, recipe.expression))
        found = await asyncio.gather(*(catalog.rse(recipe.account, name) for name in names))
    except LakeError as error:
        raise LakeUnusable(str(error)) from error
    if len(names) < 2:
        matched = f"only {names[0]}" if names else "no RSE"
        raise UsageError(
            f"{recipe.expression!r} matches {matched} on this lake: noise wants two RSEs or more (write for "
            "example '*', or A|B)"
        )
    parts = [_part(name, facts) for name, facts in zip(names, found, strict=True)]
    down = {
        name: f"no-quota (account {recipe.account} has no limit there)"
        for name in names
        if limits is not None and not limits.get(name)
    }
    locators = {
        facts.name: Locator(facts)
        for facts in found
        if facts is not None and facts.writable and facts.deterministic and facts.prefixes
    }
    tried = {name: locator for name, locator in locators.items() if name not in down}
    down |= {
        name: f"{error.reason} ({error})"
        for name, error in (await try_writing(recipe.scope, run, storage, tried)).items()
    }
    return [replace(part, down=down.get(part.rse, "")) for part in parts]


def _part(name: str, facts: RseFacts | None) -> Part:
    """Return what Rucio lets an RSE take part in."""
    if facts is None:  # it was deleted since its name was asked for
        return Part(name, "is gone", "is gone")
    if not re.fullmatch(RSE_PATTERN, name):
        unknown = "has a name that Rucio's generic schema does not take"
        return Part(name, unknown, unknown)
    if not facts.writable:
        off = "is not available for writing"
        return Part(name, off, off)
    no_source = ""
    if not facts.readable:
        no_source = "is not available for reading"
    elif not facts.deterministic:
        no_source = "is not deterministic: fdr cannot tell where its files go"
    elif not facts.prefixes:
        no_source = "offers no protocol for writing over the wide area"
    return Part(name, no_source)
