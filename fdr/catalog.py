"""Rucio, as much of it as fdr uses: the promises, and the errors they are kept with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fdr.model import Did, Rule

MAX_FILES_PER_CALL = 1000  # Rucio's own limit on one attachment


@dataclass(frozen=True, slots=True)
class NewReplica:
    """A file that lies at an RSE and that Rucio does not know yet."""

    did: Did
    dataset: Did
    rse: str
    size_bytes: int
    adler32: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RuleState:
    """A rule as Rucio reports it; locks are counts of files."""

    rule_id: str
    did: Did
    copies: int
    state: str
    locks_ok: int
    locks_replicating: int
    locks_stuck: int
    error: str


@dataclass(frozen=True, slots=True)
class NewDataset:
    """A dataset to create: what it is called, in how many seconds it expires, and what it comes with.

    ``upload_rule`` locks each file where it was put; its replica there is purged when the rule or the dataset
    expires, and without one nothing would ever delete it.
    """

    did: Did
    lifetime_s: int
    upload_rule: Rule | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RseFacts:
    """What a client must know of an RSE to write to it.

    ``readable`` and ``writable`` are its availability. ``prefixes`` are the URL beginnings that it offers for
    writing over the wide area, best first.
    ``settings`` is Rucio's own description, which its path algorithms take.
    """

    name: str
    deterministic: bool
    writable: bool
    prefixes: tuple[str, ...]
    settings: dict[str, object] = field(repr=False)
    readable: bool = True


@dataclass(frozen=True, slots=True)
class Usage:
    """What Rucio's counters say lies at an RSE."""

    rse: str
    used_bytes: int
    files: int


class Catalog(Protocol):
    """Rucio's catalogue, asked as the account that each call names.

    Every method raises only ``Refused`` (it certainly had no effect) or ``Unclear`` (it may have had).
    What is there already and is the same counts as done: names are the plan's, so a repeat is harmless.
    """

    async def version(self) -> str:
        """Return the version of the Rucio server."""

    async def log_in(self, account: str) -> None:
        """Authenticate as an account; raises Refused with reason ``unauthenticated`` when that fails."""

    async def scopes_of(self, account: str) -> frozenset[str]:
        """Return the scopes an account owns."""

    async def all_scopes(self, account: str) -> frozenset[str]:
        """Return every scope there is."""

    async def account_limits(self, account: str) -> Mapping[str, float] | None:
        """Return an account's limit in bytes at every RSE where it has one, None where it needs none."""

    async def rse(self, account: str, rse: str) -> RseFacts | None:
        """Return what is known of an RSE, or None where there is none of that name."""

    async def matching_rses(self, account: str, expression: str) -> frozenset[str]:
        """Return the RSEs that an RSE expression matches now; none is an empty set."""

    async def create_dataset(self, account: str, dataset: NewDataset) -> None:
        """Create a dataset with its rule and metadata; its lifetime begins when Rucio hears of it.

        Refused with reason ``insufficient-account-limit`` where the account has no quota at the RSEs of the
        rule.
        """

    async def register(self, account: str, replicas: Sequence[NewReplica]) -> None:
        """Register replicas and attach the files to their datasets; all of them or none.

        At most MAX_FILES_PER_CALL in one call.
        """

    async def close_dataset(self, account: str, dataset: Did) -> None:
        """Close a dataset: nothing more is attached to it."""

    async def add_rule(self, account: str, dataset: Did, rule: Rule) -> str:
        """Add a replication rule to a dataset and return its id; replicas that it alone keeps go with it."""

    async def rules(self, account: str, scope: str, name_prefix: str) -> list[RuleState]:
        """Return the rules on the DIDs of a scope whose names begin with a prefix, but for upload rules."""

    async def dataset_locks(
        self, account: str, datasets: Sequence[Did]
    ) -> dict[Did, frozenset[tuple[str, str]]]:
        """Return, for every dataset that a rule locks, the pairs (rule id, RSE) that lock it.

        Rucio keeps the lock of an RSE that it chose while the dataset was empty, though no file went there.
        """

    async def rule_rses(self, account: str, rule_id: str) -> frozenset[str]:
        """Return the RSEs where a rule locks files; reads every lock of the rule."""

    async def usage(self, account: str, rse: str) -> Usage | None:
        """Return what Rucio has counted at an RSE, None where it has not counted yet."""

    @property
    def requests(self) -> int:
        """How many REST requests have been sent."""

    async def close(self) -> None:
        """Give back threads and connections."""
