"""The records of a FakeCatalog, read with the promises of ``fdr.inventory.Inventory``."""

from __future__ import annotations

from collections.abc import Sequence

from fdr.catalog import NewReplica
from fdr.inventory import MAX_DIDS_PER_CALL, FileRecord
from fdr.model import Did
from tests.fakes.catalog import FakeCatalog


class FakeInventory:
    """Reads what the catalogue holds, but for ``forgotten`` files and ``states`` that overrule its own."""

    def __init__(self, catalog: FakeCatalog) -> None:
        """Take the catalogue whose state this is."""
        self.catalog = catalog
        self.forgotten: set[Did] = set()
        self.states: dict[Did, dict[str, str]] = {}

    async def files(self, account: str, dids: Sequence[Did]) -> dict[Did, FileRecord]:
        self.catalog.ask("files", dids)
        assert len(dids) <= MAX_DIDS_PER_CALL
        asked = set(dids) - self.forgotten
        return {
            did: self._record(replica) for did, replica in self.catalog.known_files().items() if did in asked
        }

    async def datasets(self, account: str, scope: str, name_prefix: str) -> frozenset[Did]:
        self.catalog.ask("datasets", scope)
        return frozenset(
            did for did in self.catalog.datasets if did.scope == scope and did.name.startswith(name_prefix)
        )

    async def contents(self, account: str, datasets: Sequence[Did]) -> dict[Did, frozenset[Did]]:
        self.catalog.ask("contents", datasets)
        assert len(datasets) <= MAX_DIDS_PER_CALL
        found = self.catalog.datasets
        return {did: frozenset(found[did].files if did in found else ()) for did in datasets}

    def _record(self, replica: NewReplica) -> FileRecord:
        did = replica.did
        states = self.catalog.replica_states(did) | self.states.get(did, {})
        return FileRecord(
            did,
            replica.size_bytes,
            replica.adler32,
            rses=frozenset(rse for rse, state in states.items() if state == "AVAILABLE"),
            other_states={rse: state for rse, state in states.items() if state != "AVAILABLE"},
            urls={rse: self.catalog.url(rse, did) for rse in states},
        )
