"""The removal of runs from a real Rucio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fdr.errors import LakeError
from fdr.model import Did
from fdr.removal import PlacedRule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fdr.rucio_door import RucioDoor

COMMENT = "fdr clean"
GONE = frozenset({"data-identifier-not-found", "rule-not-found"})


class RucioRemoval:
    """A Removal (see ``fdr.removal``) from a Rucio server."""

    def __init__(self, door: RucioDoor) -> None:
        """Take the door to Rucio; whoever opened it closes it."""
        self._call = door.call

    async def present(self, account: str, dids: Sequence[Did]) -> frozenset[Did]:
        """Return those DIDs that Rucio knows, whatever they are."""
        if not dids:
            return frozenset()
        rows = await self._call(account, lambda client: list(client.get_metadata_bulk(_plain(dids))))
        return frozenset(_did(row) for row in rows)

    async def rules_on(self, account: str, did: Did) -> tuple[PlacedRule, ...]:
        """Return the rules on a DID."""
        rows = await self._list(account, lambda client: client.list_did_rules(did.scope, did.name))
        return tuple(PlacedRule(str(row["id"]), row["account"], row["rse_expression"]) for row in rows)

    async def locks(self, account: str, rule_id: str) -> frozenset[tuple[Did, str]]:
        """Return what a rule locks: files, each with the RSE where it must stay."""
        rows = await self._list(account, lambda client: client.list_replica_locks(rule_id))
        return frozenset((_did(row), row["rse"]) for row in rows)

    async def hold(
        self, account: str, dataset: Did, files: Sequence[Did], rse: str, lifetime_s: int, activity: str
    ) -> None:
        """Make a dataset of files with an available replica at an RSE, and a rule that locks them there."""
        own = {"scope": dataset.scope, "name": dataset.name}
        row = {**own, "type": "DATASET", "lifetime": lifetime_s, "dids": _plain(files)}
        try:
            await self._call(account, lambda client: client.add_dids([row]))
        except LakeError as error:  # the client sends a call again when it got no answer
            if error.reason != "data-identifier-already-exists":
                raise
        try:
            await self._call(
                account,
                lambda client: client.add_replication_rule(
                    [own],
                    copies=1,
                    rse_expression=rse,
                    lifetime=lifetime_s,
                    activity=activity,
                    account=account,
                    comment=COMMENT,
                    purge_replicas=True,
                    ignore_availability=True,
                ),
            )
        except LakeError as error:
            if error.reason != "duplicate-rule":
                raise

    async def expire(self, account: str, datasets: Sequence[Did]) -> None:
        """Let datasets expire now, and purge the replicas that their rules alone have kept."""
        rows = [{**row, "meta": {"lifetime": 0, "purge_replicas": True}} for row in _plain(datasets)]
        await self._call(account, lambda client: client.set_dids_metadata_bulk(rows))

    async def _list(self, account: str, ask: Any) -> list[dict[str, Any]]:
        """Return the rows of an answer, none where Rucio does not know what was asked about."""
        try:
            return await self._call(account, lambda client: list(ask(client)))
        except LakeError as error:
            if error.reason in GONE:
                return []
            raise


def _plain(dids: Iterable[Did]) -> list[dict[str, str]]:
    return [{"scope": did.scope, "name": did.name} for did in dids]


def _did(row: dict[str, Any]) -> Did:
    return Did(row["scope"], row["name"])
