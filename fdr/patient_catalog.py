"""A catalog that waits out an outage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fdr.catalog import Catalog, NewDataset, NewReplica, RseFacts, RuleState, Usage
from fdr.model import Did, Rule
from fdr.outages import Outages


class PatientCatalog:
    """A Catalog (see ``fdr.catalog``) round another: what makes a run's data is seen through outages.

    So are the questions that a run asks once, at its end. All others are asked as they are: who asks again
    anyway must not wait.
    """

    def __init__(self, catalog: Catalog, outages: Outages) -> None:
        """Take the catalogue, and what sees its calls through."""
        self._catalog = catalog
        self._outages = outages

    async def create_dataset(self, account: str, dataset: NewDataset) -> None:
        """Create a dataset with its rule and metadata."""
        await self._outages.see_through(account, lambda: self._catalog.create_dataset(account, dataset))

    async def register(self, account: str, replicas: Sequence[NewReplica]) -> None:
        """Register replicas and attach the files to their datasets; all of them or none."""
        await self._outages.see_through(
            account, lambda: self._catalog.register(account, replicas), refusal_settles=True
        )

    async def close_dataset(self, account: str, dataset: Did) -> None:
        """Close a dataset: nothing more is attached to it."""
        await self._outages.see_through(account, lambda: self._catalog.close_dataset(account, dataset))

    async def add_rule(self, account: str, dataset: Did, rule: Rule) -> str:
        """Add a replication rule to a dataset and return its id."""
        return await self._outages.see_through(
            account, lambda: self._catalog.add_rule(account, dataset, rule)
        )

    async def dataset_locks(
        self, account: str, datasets: Sequence[Did]
    ) -> dict[Did, frozenset[tuple[str, str]]]:
        """Return, for every dataset that a rule locks, the pairs (rule id, RSE) that lock it."""
        return await self._outages.see_through(
            account, lambda: self._catalog.dataset_locks(account, datasets)
        )

    async def rule_rses(self, account: str, rule_id: str) -> frozenset[str]:
        """Return the RSEs where a rule locks files; reads every lock of the rule."""
        return await self._outages.see_through(account, lambda: self._catalog.rule_rses(account, rule_id))

    # --- as they are ------------------------------------------------------------------------------

    async def version(self) -> str:
        """Return the version of the Rucio server."""
        return await self._catalog.version()

    async def log_in(self, account: str) -> None:
        """Authenticate as an account."""
        await self._catalog.log_in(account)

    async def scopes_of(self, account: str) -> frozenset[str]:
        """Return the scopes an account owns."""
        return await self._catalog.scopes_of(account)

    async def all_scopes(self, account: str) -> frozenset[str]:
        """Return every scope there is."""
        return await self._catalog.all_scopes(account)

    async def account_limits(self, account: str) -> Mapping[str, float] | None:
        """Return an account's limit in bytes at every RSE where it has one, None where it needs none."""
        return await self._catalog.account_limits(account)

    async def rse(self, account: str, rse: str) -> RseFacts | None:
        """Return what is known of an RSE, or None where there is none of that name."""
        return await self._catalog.rse(account, rse)

    async def matching_rses(self, account: str, expression: str) -> frozenset[str]:
        """Return the RSEs that an RSE expression matches now."""
        return await self._catalog.matching_rses(account, expression)

    async def rules(self, account: str, scope: str, name_prefix: str) -> list[RuleState]:
        """Return the rules on the DIDs of a scope whose names begin with a prefix."""
        return await self._catalog.rules(account, scope, name_prefix)

    async def usage(self, account: str, rse: str) -> Usage | None:
        """Return what Rucio has counted at an RSE."""
        return await self._catalog.usage(account, rse)

    @property
    def requests(self) -> int:
        """How many REST requests have been sent."""
        return self._catalog.requests

    async def close(self) -> None:
        """Note an outage that is not over; the other catalogue is closed by who made it."""
        await self._outages.close()
