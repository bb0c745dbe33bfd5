"""Take one step of an action, and journal how it ended."""

from __future__ import annotations

from collections.abc import Awaitable

from fdr.context import Context
from fdr.errors import LakeError, Refused
from fdr.model import Action, Ending, Outcome


async def take_step(context: Context, action: Action, step: str, deed: Awaitable[str]) -> str | None:
    """Await a deed and record its outcome; return the deed's detail, None when it did not end well.

    What is neither returned nor raised as a LakeError, such as a cancellation, leaves no outcome: the
    journal then holds a deed that was begun and never ended.
    """
    begun_at = context.clock.now()
    detail: str | None = None
    reason = message = ""
    ending = Ending.OK
    try:
        detail = await deed
    except LakeError as error:
        ending = Ending.FAILED if isinstance(error, Refused) else Ending.UNKNOWN
        reason, message = error.reason, str(error)
    context.journal.record(
        Outcome(action.id, step, begun_at, context.clock.now(), ending, reason, message, detail or "")
    )
    return detail
