"""The removal of runs from a FakeCatalog, with the promises of ``fdr.removal.Removal``."""

from __future__ import annotations

from collections.abc import Sequence

from fdr.errors import Refused
from fdr.inventory import MAX_DIDS_PER_CALL
from fdr.model import Did, Rule, When
from fdr.removal import PlacedRule
from tests.fakes.catalog import FakeCatalog, FakeDataset
from tests.fakes.storage import FakeStorage


class FakeRemoval:
    """Removes from a catalogue and a storage when its daemons take a turn.

    ``no_quota`` are RSEs where no account has any; ``idle`` RSEs where the reaper does nothing.
    """

    def __init__(self, catalog: FakeCatalog, storage: FakeStorage | None = None) -> None:
        """Take the catalogue whose state this is, and where its files lie."""
        self.catalog = catalog
        self.storage = storage or FakeStorage()
        self.expired: set[Did] = set()
        self.purged: set[tuple[Did, str]] = set()
        self.no_quota: set[str] = set()
        self.idle: set[str] = set()
        self.held: list[tuple[str, int]] = []

    async def present(self, account: str, dids: Sequence[Did]) -> frozenset[Did]:
        self.catalog.ask("present", dids)
        assert len(dids) <= MAX_DIDS_PER_CALL
        return frozenset(dids) & (self.catalog.datasets.keys() | self.catalog.known_files().keys())

    async def rules_on(self, account: str, did: Did) -> tuple[PlacedRule, ...]:
        self.catalog.ask("rules_on", did)
        return tuple(
            PlacedRule(rule_id, owner, rule.to)
            for rule_id, (owner, ruled, rule) in self.catalog.all_rules.items()
            if ruled == did
        )

    async def locks(self, account: str, rule_id: str) -> frozenset[tuple[Did, str]]:
        self.catalog.ask("locks", rule_id)
        return self.catalog.locked_at(rule_id) if rule_id in self.catalog.all_rules else frozenset()

    async def hold(
        self, account: str, dataset: Did, files: Sequence[Did], rse: str, lifetime_s: int, activity: str
    ) -> None:
        self.catalog.ask("hold", dataset)
        known = self.catalog.known_files()
        if not known.keys() >= set(files):
            raise Refused("data-identifier-not-found", "a file is not there")
        held = FakeDataset(lifetime_s, {did: known[did] for did in files})
        self.catalog.datasets.setdefault(dataset, held)
        if rse in self.no_quota:
            raise Refused("insufficient-account-limit", f"{account} has no quota at {rse}")
        rule = Rule(rse, 1, lifetime_s, activity, When.DATASET_CLOSED)
        await self.catalog.add_rule(account, dataset, rule)
        self.held.append((rse, len(files)))

    async def expire(self, account: str, datasets: Sequence[Did]) -> None:
        self.catalog.ask("expire", datasets)
        assert len(datasets) <= MAX_DIDS_PER_CALL
        for did in datasets:
            if self.catalog.owners.get(did.scope) != account:
                raise Refused("access-denied", f"{account} may not touch {did}")
            if did not in self.catalog.datasets:
                raise Refused("data-identifier-not-found", f"{did} is not there")
        self.expired |= set(datasets)

    def take_turn(self) -> None:
        """Let the undertaker delete what has expired, then the reaper what was purged and no rule keeps."""
        for did in self.expired & self.catalog.datasets.keys():
            self._bury(did)
        kept = {lock for rule_id in self.catalog.all_rules for lock in self.catalog.locked_at(rule_id)}
        for did, rse in {(did, rse) for did, rse in self.purged - kept if rse not in self.idle}:
            self.purged.discard((did, rse))
            self.storage.files.pop(self.catalog.url(rse, did), None)
            self.catalog.left[did][1].pop(rse, None)
            if not self.catalog.left[did][1]:
                del self.catalog.left[did]

    def _bury(self, dataset: Did) -> None:
        states = {did: self.catalog.replica_states(did) for did in self.catalog.datasets[dataset].files}
        for rule_id in [one for one, (_, ruled, _) in self.catalog.all_rules.items() if ruled == dataset]:
            self.purged |= self.catalog.locked_at(rule_id)
            self.catalog.rules_added.pop(rule_id, None)
            self.catalog.upload_rules.pop(rule_id, None)
        for did, replica in self.catalog.datasets.pop(dataset).files.items():
            self.catalog.left[did] = (replica, states[did])
