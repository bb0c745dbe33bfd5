"""Create a dataset."""

from __future__ import annotations

from fdr.actions.step import take_step
from fdr.catalog import NewDataset
from fdr.context import Context
from fdr.datasets import OpenDataset
from fdr.model import Action


async def perform(context: Context, action: Action, dataset: OpenDataset) -> None:
    """Create the action's dataset; those that wait for it learn whether it is there."""
    experiment = context.scenario.experiments[action.experiment]

    async def create() -> str:
        await context.catalog.create_dataset(
            experiment.account,
            NewDataset(
                context.dataset(action),
                experiment.dataset_lifetime_s,
                context.upload_rule(action),
                experiment.metadata,
            ),
        )
        return "created"

    created = None
    try:
        created = await take_step(context, action, "create", create())
    finally:
        dataset.created.decide(created is not None)
