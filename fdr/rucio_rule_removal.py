"""The rule removal that a real Rucio does."""

from __future__ import annotations

from typing import Any

from fdr.errors import LakeError
from fdr.rucio_door import RucioDoor


class RucioRuleRemoval:
    """A RuleRemoval (see ``fdr.rule_removal``) by a Rucio server."""

    def __init__(self, door: RucioDoor) -> None:
        """Take the door to Rucio."""
        self._door = door

    async def delete_rule(self, account: str, rule_id: str, *, purge_replicas: bool = False) -> None:
        """Let a rule of an account end now, one that is gone already included.

        Its lifetime is set to nothing, because Rucio's own deletion (DELETE /rules/ID) lets a rule live for
        another hour. Policies differ in who may do that: the generic one lets only administrators, others the
        rule's account. That one is tried first, then the account of the rucio.cfg.
        """
        options: dict[str, Any] = {"lifetime": 0} | ({"purge_replicas": True} if purge_replicas else {})
        own, *others = dict.fromkeys((account, self._door.connection.account))
        try:
            await self._end(own, rule_id, options)
        except LakeError as error:
            if error.reason != "access-denied" or not others:
                raise
            await self._end(others[0], rule_id, options)

    async def _end(self, issuer: str, rule_id: str, options: dict[str, Any]) -> None:
        try:
            await self._door.call(issuer, lambda client: client.update_replication_rule(rule_id, options))
        except LakeError as error:
            if error.reason != "rule-not-found":
                raise
