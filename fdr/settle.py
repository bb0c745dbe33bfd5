"""Settle what became of uploads whose ending nobody recorded, by asking Rucio and the storages in bulk."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice

from fdr.context import Context
from fdr.errors import LakeError, LakeUnusable
from fdr.inventory import FileRecord, Inventory
from fdr.journal.reader import JournalReader
from fdr.model import SETTLED, Did, Ending, Intention, Kind, Note, Outcome
from fdr.standing import Left, Standing
from fdr.storage.base import Storage

ASKED_AT_ONCE = 1000  # files in one question to Rucio


async def settle(context: Context, standing: Standing, reader: JournalReader, inventory: Inventory) -> None:
    """Ask what became of every unsettled upload; journal what is found, and let ``standing`` take it.

    A file that Rucio has at its RSE was put and registered; one that is whole at its storage was put. One
    that is not there, not whole, or that its storage refuses to sum is left to be done, over what is there.
    What a storage does not tell at all stays unknown.
    Raises LakeUnusable when Rucio does not answer; nothing is lost then, and it can be asked again.
    """
    unsettled = _unsettled(reader, standing)
    found: Counter[str] = Counter()
    while batch := list(islice(unsettled, ASKED_AT_ONCE)):
        records = await _records(context, inventory, batch)
        known = {upload.action for upload in batch if upload.rse in _rses(records, upload.did)}
        for upload in batch:
            if upload.action in known:
                _record(context, standing, upload, "register")
        found["registered"] += len(known)
        others = [upload for upload in batch if upload.action not in known]
        found.update(await asyncio.gather(*(_look(context, standing, upload) for upload in others)))
    if found:
        told = ", ".join(f"{count} {what}" for what, count in sorted(found.items()) if count)
        text = f"{found.total()} files whose ending was not recorded: {told}"
        context.journal.record(Note(context.clock.now(), SETTLED, text))


def _unsettled(reader: JournalReader, standing: Standing) -> Iterator[Intention]:
    for event in reader.events():
        if not isinstance(event, Intention):  # intentions are read before all else
            return
        if event.kind is Kind.UPLOAD and standing.left(event.action, event.kind) is Left.UNSETTLED:
            yield event


async def _records(context: Context, inventory: Inventory, uploads: list[Intention]) -> dict[Did, FileRecord]:
    """Ask Rucio for the files of these uploads, each as the account that uploads it."""
    files: dict[str, list[Did]] = defaultdict(list)
    for upload in uploads:
        files[context.scenario.experiments[upload.experiment].account].append(upload.did)
    records: dict[Did, FileRecord] = {}
    try:
        for account, dids in files.items():
            records |= await inventory.files(account, dids)
    except LakeError as error:
        raise LakeUnusable(
            f"Rucio does not say what became of {len(uploads)} files of the run: {error} (resume it again)"
        ) from error
    return records


def _rses(records: dict[Did, FileRecord], did: Did) -> frozenset[str]:
    return records[did].rses if did in records else frozenset()


async def _look(context: Context, standing: Standing, upload: Intention) -> str:
    """Look for a file that Rucio does not have, and return in a word where it is."""
    if standing.is_ok(upload.action):
        standing.take_unregistered(upload.action)
        return "on storage"
    payload = context.payload(upload.did, upload.size_bytes)
    url = context.locators[upload.rse].url(upload.did)
    try:
        there = await context.storage.stat(url)
    except LakeError:
        return "still unknown"
    if there is None or there.size_bytes != upload.size_bytes:
        standing.take_absent(upload.action)
        return "nowhere" if there is None else "not whole"
    if await _adler32(context.storage, url) != payload.adler32():
        standing.take_absent(upload.action)
        return "not whole"
    _record(context, standing, upload, "put", payload.adler32())
    standing.take_unregistered(upload.action)
    return "on storage"


async def _adler32(storage: Storage, url: str) -> str | None:
    """Return a file's checksum, None where its storage does not tell it.

    XRootD does not sum a file that a client which died has left open, for as long as it believes in it.
    """
    try:
        there = await storage.stat(url, with_checksum=True)
    except LakeError:
        return None
    return there.adler32 if there is not None else None


def _record(context: Context, standing: Standing, upload: Intention, step: str, detail: str = "") -> None:
    """Journal a step that was found to have been taken; a registered file was put."""
    if step == "register" and not standing.is_ok(upload.action):
        adler32 = context.payload(upload.did, upload.size_bytes).adler32()
        _record(context, standing, upload, "put", adler32)
    now = context.clock.now()
    outcome = Outcome(upload.action, step, now, now, Ending.OK, SETTLED, "", detail)
    context.journal.record(outcome)
    standing.take(outcome)
