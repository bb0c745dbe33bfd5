"""What takes a run out of Rucio again: the promises, kept by what an ordinary account may do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fdr.model import Did


@dataclass(frozen=True, slots=True)
class PlacedRule:
    """A rule on a DID: whose it is, and the RSE expression that it asks for."""

    rule_id: str
    account: str
    expression: str


class Removal(Protocol):
    """Rucio, asked as the account that each call names, for what must be known and done to remove a run.

    Every method raises only ``Refused`` (it certainly had no effect) or ``Unclear`` (it may have had). What
    Rucio does not know is left out of an answer, never an error. Calls take as many DIDs as those of an
    ``Inventory``.

    Nothing here deletes a file. Rucio's undertaker deletes datasets that have expired and, with them, their
    rules; a replica that loses its last rule then is purged, whoever wrote it. Its reaper deletes those.
    """

    async def present(self, account: str, dids: Sequence[Did]) -> frozenset[Did]:
        """Return those DIDs that Rucio knows, whatever they are."""

    async def rules_on(self, account: str, did: Did) -> tuple[PlacedRule, ...]:
        """Return the rules on a DID."""

    async def locks(self, account: str, rule_id: str) -> frozenset[tuple[Did, str]]:
        """Return what a rule locks: files, each with the RSE where it must stay."""

    async def hold(
        self, account: str, dataset: Did, files: Sequence[Did], rse: str, lifetime_s: int, activity: str
    ) -> None:
        """Make a dataset of files with an available replica at an RSE, and a rule that locks them there.

        When the rule ends it purges those replicas. It needs the account's quota at the RSE, though nothing
        is moved: Refused with reason ``insufficient-account-limit`` where there is none.
        """

    async def expire(self, account: str, datasets: Sequence[Did]) -> None:
        """Let datasets expire now, and purge the replicas that their rules alone have kept.

        Rucio must know all of them.
        """
