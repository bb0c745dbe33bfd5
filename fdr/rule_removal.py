"""What ends a rule before its time: the promise, and the errors it is kept with."""

from __future__ import annotations

from typing import Protocol


class RuleRemoval(Protocol):
    """Ends rules. Raises only ``Refused`` (certainly without effect) or ``Unclear`` (it may have had one)."""

    async def delete_rule(self, account: str, rule_id: str, *, purge_replicas: bool = False) -> None:
        """Let a rule of an account end now, one that is gone already included.

        Rucio's judge deletes it soon, cancels the requests that it still has, also at FTS, and takes away its
        locks; with ``purge_replicas`` the copies that no other rule locks are deleted at once, and not when
        space is wanted.
        """
