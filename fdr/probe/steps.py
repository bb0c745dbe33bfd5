"""Try every step at one protocol of an RSE, each as far as those before it let it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from fdr.errors import LakeError, Refused, Unclear
from fdr.payload import Payload
from fdr.probe.plan import Row
from fdr.probe.result import INTERRUPTED, STEPS, State, Step, Tried
from fdr.probe.sweep import without_url
from fdr.probe.traces import STILL_PUT, Ledger
from fdr.stop import Stop
from fdr.storage.steps import GfalSteps

NEEDS_PUT = "the file was not put"


async def try_row(row: Row, payload: Payload, storage: GfalSteps, ledger: Ledger, stop: Stop) -> Tried:
    """Return what became of each step of a row.

    The first step that fails lets those be skipped that need it. What may have been put is deleted, also when
    it is to be stopped.
    """
    if row.place is None:
        state, why = (State.FAILED, row.missing) if row.missing else (State.SKIPPED, row.skipped)
        return Tried(row, dict.fromkeys(STEPS, Step(state, None, "no-rse" if row.missing else "", why)))
    place, url = row.place, row.place.url
    steps = dict.fromkeys(STEPS, Step(State.SKIPPED, message=INTERRUPTED))
    if stop.wanted:
        ledger.never_made(place)
        return Tried(row, steps)
    steps["put"], error = await _timed(url, lambda: storage.put_only(payload, url))
    if isinstance(error, Refused):
        ledger.refused(place, error.reason)
        return Tried(
            row, dict.fromkeys(STEPS, Step(State.SKIPPED, message=NEEDS_PUT)) | {"put": steps["put"]}
        )
    if isinstance(error, Unclear):
        steps |= dict.fromkeys(("stat", "checksum", "get"), Step(State.SKIPPED, message=NEEDS_PUT))
        if error.reason == "timeout":
            ledger.unsettled[url] = STILL_PUT
    else:
        steps |= await _looked_at(row, payload, storage, stop)
    steps["delete"], error = await _timed(url, lambda: _deleted(storage, url))
    if error is None:
        ledger.gone.add(url)
    return Tried(row, steps)


async def _looked_at(row: Row, payload: Payload, storage: GfalSteps, stop: Stop) -> dict[str, Step]:
    """Look at a file that was put: its size, its checksum, its bytes."""
    assert row.place is not None
    url = row.place.url
    looks: dict[str, Callable[[], Awaitable[None]]] = {
        "stat": lambda: _sized(storage, url, payload),
        "checksum": lambda: _summed(storage, url, payload),
        "get": lambda: storage.compare(payload, url),
    }
    steps: dict[str, Step] = {}
    for name, look in looks.items():
        if stop.wanted:
            steps[name] = Step(State.SKIPPED, message=INTERRUPTED)
        elif name == "get" and row.unread:
            steps[name] = Step(State.SKIPPED, message=row.unread)
        else:
            steps[name], _ = await _timed(url, look)
    return steps


async def _timed(url: str, deed: Callable[[], Awaitable[None]]) -> tuple[Step, LakeError | None]:
    """Carry out a step at a URL, and return how it went and the error that it ended in."""
    begun = time.monotonic()
    failure: LakeError | None = None
    try:
        await deed()
    except LakeError as error:
        failure = error
    step = Step(State.OK, time.monotonic() - begun)
    if failure is not None:
        step = replace(step, state=State.FAILED, reason=failure.reason, message=without_url(failure, url))
    return step, failure


async def _sized(storage: GfalSteps, url: str, payload: Payload) -> None:
    found = await storage.size(url)
    if found != payload.size_bytes:
        raise Refused("size", f"{url}: has {found} bytes, and {payload.size_bytes} were put")


async def _summed(storage: GfalSteps, url: str, payload: Payload) -> None:
    found = await storage.adler32(url)
    if found != payload.adler32():
        raise Refused("checksum", f"{url}: its adler32 is told as {found}, and it is {payload.adler32()}")


async def _deleted(storage: GfalSteps, url: str) -> None:
    """Delete a file and see that it is gone."""
    for error in (await storage.delete([url])).values():
        raise error
    try:
        await storage.size(url)
    except LakeError as error:
        if error.reason == "not-found":
            return
        raise
    raise Unclear("still-there", f"{url}: is still there after it was deleted")
