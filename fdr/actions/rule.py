"""Add a replication rule to a dataset."""

from __future__ import annotations

from fdr.actions.step import take_step
from fdr.context import Context
from fdr.datasets import OpenDataset
from fdr.errors import Refused
from fdr.model import Action, When


async def perform(context: Context, action: Action, dataset: OpenDataset) -> None:
    """Wait until the dataset is created, or closed, as the rule says; then add the rule."""
    rule = context.rule(action)
    ready = await (dataset.created if rule.when is When.AT_CREATION else dataset.closed).wait()

    async def add() -> str:
        if not ready:
            raise Refused("no-dataset", "the dataset could not be created, or not be closed")
        return await context.catalog.add_rule(context.account(action), context.dataset(action), rule)

    try:
        await take_step(context, action, "rule", add())
    finally:
        if rule.when is When.AT_CREATION:
            dataset.end_early_rule()
