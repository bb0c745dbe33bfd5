"""Close a dataset whose uploads have ended."""

from __future__ import annotations

from fdr.actions.step import take_step
from fdr.context import Context
from fdr.datasets import OpenDataset
from fdr.errors import Refused
from fdr.model import Action, Ending, Outcome


async def perform(context: Context, action: Action, dataset: OpenDataset) -> None:
    """Wait for the dataset's uploads, then close it, unless some were left for when the run goes on."""

    async def close() -> str:
        if not created:
            raise Refused("no-dataset", "the dataset could not be created")
        await context.catalog.close_dataset(context.account(action), context.dataset(action))
        return "closed"

    closed = None
    try:
        created = await dataset.created.wait()
        await dataset.drained.wait()
        if dataset.is_left:
            now = context.clock.now()
            context.journal.record(Outcome(action.id, "close", now, now, Ending.DROPPED, "stopped"))
            return
        closed = await take_step(context, action, "close", close())
    finally:
        dataset.closed.decide(closed is not None)
