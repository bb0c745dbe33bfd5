"""Upload a file: put its bytes at an RSE, then register it in its dataset."""

from __future__ import annotations

from fdr.actions.step import take_step
from fdr.catalog import NewReplica
from fdr.context import Context
from fdr.datasets import OpenDataset
from fdr.errors import Refused
from fdr.model import Action, Did


async def put(context: Context, action: Action, file: Did, *, overwrite: bool) -> str | None:
    """Put the file's bytes where Rucio will look for them; return their adler32, None if that failed.

    ``overwrite`` says that an earlier attempt may have left something there.
    """
    if action.rse is None:
        raise ValueError("an upload names its RSE")
    payload = context.payload(file, action.size_bytes)
    url = context.locators[action.rse].url(file)

    async def put_payload() -> str:
        await context.storage.put(payload, url, overwrite=overwrite)
        return payload.adler32()

    return await take_step(context, action, "put", put_payload())


async def register(context: Context, action: Action, dataset: OpenDataset, file: Did, adler32: str) -> None:
    """Register the file as a replica of its RSE, attached to its dataset.

    The dataset and the rules that it gets at its creation come first: a rule that Rucio adds while files are
    attached may miss those for good (docs/decisions/rules-before-files.md).
    """
    if action.rse is None:
        raise ValueError("an upload names its RSE")
    metadata = context.scenario.experiments[action.experiment].metadata
    replica = NewReplica(file, context.dataset(action), action.rse, action.size_bytes, adler32, metadata)
    created = await dataset.created.wait()
    await dataset.ruled.wait()

    async def register_replica() -> str:
        if not created:
            raise Refused("no-dataset", "the dataset could not be created")
        await context.registrars[context.account(action)].register(replica)
        return "registered"

    await take_step(context, action, "register", register_replica())
