"""Choose the account and the scope that noise is made with on a lake."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from fdr.catalog import Catalog
from fdr.connection import Connection, read_connection
from fdr.errors import LakeError, LakeUnusable, UsageError
from fdr.lake.home import LakeHome
from fdr.lake.prepare import prepare_account
from fdr.noise.recipe import Recipe
from fdr.reach import reach

ACCOUNT = "noise"  # and its scope, on the embedded lake


def on_lake(connection: Connection, recipe: Recipe) -> tuple[Connection, Recipe]:
    """Return the recipe with the account and scope to use on a lake, and how to reach it with them.

    On the embedded lake they are made where they are missing, without a limit at any RSE. Elsewhere the
    account is the one of the rucio.cfg, and the scope the only one that it owns. Raises LakeUnusable, and
    UsageError where no scope can be chosen.
    """
    account = recipe.account
    if connection.embedded_home is not None and account != connection.account:
        account = account or ACCOUNT
        recipe = replace(recipe, scope=recipe.scope or account)
        prepare_account(LakeHome(connection.embedded_home), account, recipe.scope)
        connection = read_connection(connection.rucio_cfg)
    recipe = replace(recipe, account=account or connection.account)
    return connection, replace(recipe, scope=asyncio.run(_scope(connection, recipe)))


async def _scope(connection: Connection, recipe: Recipe) -> str:
    async with reach(connection) as doors:
        return await chosen_scope(doors.catalog, recipe)


async def chosen_scope(catalog: Catalog, recipe: Recipe) -> str:
    """Return the scope of a recipe, or the only one that its account owns.

    Raises UsageError where the account owns no such scope or several, LakeUnusable where Rucio cannot be
    asked.
    """
    account, scope = recipe.account, recipe.scope
    try:
        await catalog.log_in(account)
        owned = await catalog.scopes_of(account)
    except LakeError as error:
        raise LakeUnusable(str(error)) from error
    if scope in owned:
        return scope
    if not scope and len(owned) == 1:
        return next(iter(owned))
    known = f"it owns {', '.join(sorted(owned))}" if owned else "it owns none: an administrator must add one"
    if scope:
        raise UsageError(f"--scope {scope}: is not {account}'s: {known}")
    raise UsageError(f"--scope: name a scope of account {account}: {known}")
