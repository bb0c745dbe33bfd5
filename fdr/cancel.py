"""Cancel what the rules of a run have not done yet, and keep the record of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from fdr.clock import Clock
from fdr.errors import LakeError, Refused
from fdr.journal.writer import Journal
from fdr.model import Ending, Note, Outcome
from fdr.rule_removal import RuleRemoval
from fdr.watch import OpenRule, Watch

DELETED_WITHIN_S = 90.0  # how long Rucio's judge-cleaner is waited for; it looks every minute by default
LOOK_EVERY_S = 2.0


async def cancel_open_rules(watch: Watch, removal: RuleRemoval, journal: Journal, clock: Clock) -> None:
    """End every rule of the run that has not done its work, and wait until Rucio has deleted them.

    Rucio then cancels their requests, also at FTS. A note ``cancelling`` is on disk before; how it went for
    each rule is the outcome of a step ``cancel`` of its action; a note ``cancelled`` says what came of it.
    """
    try:
        rules = await watch.open_rules()
    except LakeError as error:
        journal.record(Note(clock.now(), "cancelled", f"0 rules: Rucio did not say which ({error})"))
        return
    journal.record(Note(clock.now(), "cancelling", f"{len(rules)} rules that were not OK"))
    await journal.flush()
    reasons = await asyncio.gather(*(_cancel(rule, removal, journal, clock) for rule in rules))
    ended = [rule for rule, reason in zip(rules, reasons, strict=True) if not reason]
    left = await _left(watch, ended, clock)
    journal.record(Note(clock.now(), "cancelled", _said(len(ended), left, Counter(filter(None, reasons)))))


async def _cancel(rule: OpenRule, removal: RuleRemoval, journal: Journal, clock: Clock) -> str:
    """End one rule; return why not, or nothing."""
    begun_at = clock.now()
    ending, reason, message = Ending.OK, "", ""
    try:
        await removal.delete_rule(rule.account, rule.rule_id)
    except LakeError as error:
        ending = Ending.FAILED if isinstance(error, Refused) else Ending.UNKNOWN
        reason, message = error.reason, str(error)
    if rule.action is not None:
        ended_at = clock.now()
        journal.record(
            Outcome(rule.action, "cancel", begun_at, ended_at, ending, reason, message, rule.rule_id)
        )
    return reason


async def _left(watch: Watch, ended: Sequence[OpenRule], clock: Clock) -> int | None:
    """Wait until Rucio lists none of the rules; return how many it still lists, None if it does not say."""
    ids = {rule.rule_id for rule in ended}
    deadline = clock.now() + DELETED_WITHIN_S
    left: int | None = len(ids)
    while left != 0 and clock.now() < deadline:
        try:
            left = len(ids & await watch.listed_rules())
        except LakeError:
            left = None
        if left != 0:
            await clock.sleep_until(clock.now() + LOOK_EVERY_S)
    return left


def _said(ended: int, left: int | None, reasons: Counter[str]) -> str:
    parts = [f"{ended} rules cancelled"]
    if left is None:
        parts.append("Rucio did not say whether it has deleted them")
    elif left:
        parts.append(f"{left} of them not deleted by Rucio within {DELETED_WITHIN_S:.0f}s")
    parts += [f"{count} could not be cancelled ({reason})" for reason, count in sorted(reasons.items())]
    return ", ".join(parts)
