"""A Rucio in memory that keeps the promises of ``fdr.catalog.Catalog``."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fdr.catalog import MAX_FILES_PER_CALL, NewDataset, NewReplica, RseFacts, RuleState, Usage
from fdr.errors import Refused
from fdr.expression import matching
from fdr.model import Did, Rse, Rule
from fdr.pfn import Locator


@dataclass(slots=True)
class FakeDataset:
    """A dataset and the files attached to it."""

    lifetime_s: int
    files: dict[Did, NewReplica] = field(default_factory=dict)
    is_open: bool = True
    metadata: Mapping[str, str] = field(default_factory=dict)


class FakeCatalog:
    """Datasets, replicas and rules in dictionaries; a rule is OK as soon as ``transfers_run`` is true.

    ``unwritable`` and ``unreadable`` are RSEs whose availability is off. ``stale_locks`` adds RSEs to the
    dataset locks of a rule that holds no file there, as Rucio does.
    ``weather`` is called with the name of every operation and its subject, and may raise what Rucio would.
    """

    def __init__(self, rses: Mapping[str, Rse], owners: Mapping[str, str]) -> None:
        """Take the RSEs, and who owns which scope (scope to account)."""
        self.rses = dict(rses)
        self.owners = dict(owners)
        self.datasets: dict[Did, FakeDataset] = {}
        self.rules_added: dict[str, tuple[str, Did, Rule]] = {}
        self.upload_rules: dict[str, tuple[str, Did, Rule]] = {}  # those that datasets were born with
        self.no_quota: set[tuple[str, str]] = set()  # account and RSE
        self.transfers_run = True
        self.weather: Callable[[str, object], None] = lambda operation, subject: None
        self.batches: list[int] = []
        self.stale_locks: dict[str, set[str]] = {}
        self.unwritable: set[str] = set()
        self.unreadable: set[str] = set()
        # what files have at RSEs after a dataset that held them was deleted
        self.left: dict[Did, tuple[NewReplica, dict[str, str]]] = {}
        self._requests = 0
        self._rule_numbers = itertools.count()

    @property
    def requests(self) -> int:
        return self._requests

    @property
    def all_rules(self) -> dict[str, tuple[str, Did, Rule]]:
        """Return the rules that were added and those that datasets were born with."""
        return self.rules_added | self.upload_rules

    async def version(self) -> str:
        return "fake"

    async def log_in(self, account: str) -> None:
        self.ask("log_in", account)
        if account not in self.owners.values():
            raise Refused("unauthenticated", f"Rucio does not let {account} in")

    async def scopes_of(self, account: str) -> frozenset[str]:
        self.ask("scopes_of", account)
        return frozenset(scope for scope, owner in self.owners.items() if owner == account)

    async def all_scopes(self, account: str) -> frozenset[str]:
        self.ask("all_scopes", account)
        return frozenset(self.owners)

    async def account_limits(self, account: str) -> Mapping[str, float] | None:
        self.ask("account_limits", account)
        return {rse: float("inf") for rse in self.rses if (account, rse) not in self.no_quota}

    async def rse(self, account: str, rse: str) -> RseFacts | None:
        self.ask("rse", rse)
        return self._facts(rse) if rse in self.rses else None

    async def matching_rses(self, account: str, expression: str) -> frozenset[str]:
        self.ask("matching_rses", expression)
        return matching(expression, self.rses)

    async def create_dataset(self, account: str, dataset: NewDataset) -> None:
        self.ask("create_dataset", dataset.did)
        self._check_owner(account, dataset.did)
        if dataset.did in self.datasets:
            return
        self.datasets[dataset.did] = FakeDataset(dataset.lifetime_s, metadata=dataset.metadata)
        if dataset.upload_rule is not None:
            rule_id = f"{next(self._rule_numbers):032x}"
            self.upload_rules[rule_id] = account, dataset.did, dataset.upload_rule

    async def register(self, account: str, replicas: Sequence[NewReplica]) -> None:
        self.ask("register", replicas)
        assert len(replicas) <= MAX_FILES_PER_CALL
        for replica in replicas:
            self._check_owner(account, replica.dataset)
            if replica.dataset not in self.datasets:
                raise Refused("data-identifier-not-found", f"{replica.dataset} is not there")
            if not self.datasets[replica.dataset].is_open:
                raise Refused("unsupported-operation", f"{replica.dataset} is closed")
        self.batches.append(len(replicas))
        for replica in replicas:
            self.datasets[replica.dataset].files[replica.did] = replica

    async def close_dataset(self, account: str, dataset: Did) -> None:
        self.ask("close_dataset", dataset)
        self._check_owner(account, dataset)
        if dataset not in self.datasets:
            raise Refused("data-identifier-not-found", f"{dataset} is not there")
        self.datasets[dataset].is_open = False

    async def add_rule(self, account: str, dataset: Did, rule: Rule) -> str:
        self.ask("add_rule", dataset)
        if dataset not in self.datasets:
            raise Refused("data-identifier-not-found", f"{dataset} is not there")
        if len(matching(rule.to, self.rses)) < rule.copies:
            raise Refused("invalid-rse-expression", f"{rule.to} matches too few RSEs")
        for rule_id, (owner, did, known) in self.rules_added.items():
            if (owner, did, known.to, known.copies) == (account, dataset, rule.to, rule.copies):
                return rule_id
        rule_id = f"{next(self._rule_numbers):032x}"
        self.rules_added[rule_id] = account, dataset, rule
        return rule_id

    async def rules(self, account: str, scope: str, name_prefix: str) -> list[RuleState]:
        self.ask("rules", scope)
        return [
            self._state(rule_id, did, rule)
            for rule_id, (_, did, rule) in self.rules_added.items()
            if did.scope == scope and did.name.startswith(name_prefix)
        ]

    async def dataset_locks(
        self, account: str, datasets: Sequence[Did]
    ) -> dict[Did, frozenset[tuple[str, str]]]:
        self.ask("dataset_locks", datasets)
        locks: dict[Did, set[tuple[str, str]]] = {}
        for rule_id, (_, did, rule) in self.rules_added.items():
            if did in datasets:
                stale = self.stale_locks.get(rule_id, set())
                rses = {*self._chosen(rule), *stale}
                locks.setdefault(did, set()).update((rule_id, rse) for rse in rses)
        return {did: frozenset(pairs) for did, pairs in locks.items()}

    async def rule_rses(self, account: str, rule_id: str) -> frozenset[str]:
        self.ask("rule_rses", rule_id)
        _, did, rule = self.rules_added[rule_id]
        return frozenset(self._chosen(rule)) if self.datasets[did].files else frozenset()

    async def usage(self, account: str, rse: str) -> Usage | None:
        self.ask("usage", rse)
        here = [
            file for dataset in self.datasets.values() for file in dataset.files.values() if file.rse == rse
        ]
        return Usage(rse, sum(file.size_bytes for file in here), len(here))

    async def close(self) -> None:
        return

    def replica_states(self, file: Did) -> dict[str, str]:
        """Return the state of every replica of a file by RSE; a rule's are COPYING until transfers run."""
        states = dict(self.left[file][1]) if file in self.left else {}
        for dataset, content in self.datasets.items():
            if file in content.files:
                for _, ruled, rule in self.rules_added.values():
                    if ruled == dataset:
                        by_rule = "AVAILABLE" if self.transfers_run else "COPYING"
                        states |= dict.fromkeys(self._chosen(rule), by_rule)
                states[content.files[file].rse] = "AVAILABLE"
        return states

    def known_files(self) -> dict[Did, NewReplica]:
        """Return every file that is known, in a dataset or no more in any."""
        files = {did: replica for did, (replica, _) in self.left.items()}
        for dataset in self.datasets.values():
            files |= dataset.files
        return files

    def locked_at(self, rule_id: str) -> frozenset[tuple[Did, str]]:
        """Return the files that a rule locks, each with the RSE."""
        _, dataset, rule = self.all_rules[rule_id]
        files = self.datasets[dataset].files
        if rule_id in self.upload_rules:
            return frozenset((did, replica.rse) for did, replica in files.items())
        return frozenset((did, rse) for did in files for rse in self._chosen(rule))

    def url(self, rse: str, file: Did) -> str:
        """Return where a file lies at an RSE, by its first protocol."""
        return Locator(self._facts(rse)).url(file)

    def ask(self, operation: str, subject: object) -> None:
        """Count a request and let the weather have its say."""
        self._requests += 1
        self.weather(operation, subject)

    def _facts(self, rse: str) -> RseFacts:
        prefixes = tuple(f"{scheme}://{rse.lower()}:1094//rucio/" for scheme in self.rses[rse].protocols)
        writable, readable = rse not in self.unwritable, rse not in self.unreadable
        return RseFacts(
            rse, deterministic=True, writable=writable, prefixes=prefixes, settings={}, readable=readable
        )

    def _check_owner(self, account: str, did: Did) -> None:
        if self.owners.get(did.scope) != account:
            raise Refused("access-denied", f"{account} may not write in {did.scope}")

    def _chosen(self, rule: Rule) -> list[str]:
        return sorted(matching(rule.to, self.rses))[: rule.copies]

    def _state(self, rule_id: str, did: Did, rule: Rule) -> RuleState:
        files = len(self.datasets[did].files) * rule.copies
        if self.transfers_run:
            return RuleState(rule_id, did, rule.copies, "OK", files, 0, 0, "")
        return RuleState(rule_id, did, rule.copies, "REPLICATING", 0, files, 0, "")
