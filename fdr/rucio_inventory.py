"""The inventory that a real Rucio gives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from fdr.inventory import FileRecord
from fdr.model import Did
from fdr.rucio_door import RucioDoor


class RucioInventory:
    """An Inventory (see ``fdr.inventory``) that a Rucio server gives."""

    def __init__(self, door: RucioDoor) -> None:
        """Take the door to Rucio; whoever opened it closes it."""
        self._call = door.call

    async def files(self, account: str, dids: Sequence[Did]) -> dict[Did, FileRecord]:
        """Return what Rucio knows of files; those unknown to it are left out."""
        if not dids:
            return {}
        asked = [{"scope": did.scope, "name": did.name} for did in dids]

        def ask(client: Any) -> dict[Did, FileRecord]:
            # Unless told otherwise, Rucio sorts the replicas of every file by their distance to the client,
            # which takes it ten times as long; and looks for the archives that hold the file.
            rows = client.list_replicas(
                asked, all_states=True, domain="wan", sort="random", resolve_archives=False
            )
            records = (_file_record(row) for row in rows)
            return {record.did: record for record in records}

        return await self._call(account, ask)

    async def datasets(self, account: str, scope: str, name_prefix: str) -> frozenset[Did]:
        """Return the datasets of a scope whose names begin with a prefix."""

        def ask(client: Any) -> frozenset[Did]:
            names = client.list_dids(scope, [{"name": f"{name_prefix}*"}], did_type="dataset")
            return frozenset(Did(scope, name) for name in names)

        return await self._call(account, ask)

    async def contents(self, account: str, datasets: Sequence[Did]) -> dict[Did, frozenset[Did]]:
        """Return the files that are attached to each of the datasets; none for one that is not there."""
        asked = [{"scope": did.scope, "name": did.name} for did in datasets]

        def ask(client: Any) -> dict[Did, frozenset[Did]]:
            found: dict[Did, set[Did]] = defaultdict(set)
            for row in client.bulk_list_files(asked) if asked else ():
                dataset = Did(row["parent_scope"], row["parent_name"])
                found[dataset].add(Did(row["scope"], row["name"]))
            return {dataset: frozenset(found[dataset]) for dataset in datasets}

        return await self._call(account, ask)


def _file_record(row: dict[str, Any]) -> FileRecord:
    states = row["states"]
    return FileRecord(
        did=Did(row["scope"], row["name"]),
        size_bytes=int(row["bytes"] or 0),
        adler32=str(row["adler32"] or ""),
        rses=frozenset(rse for rse, state in states.items() if state == "AVAILABLE"),
        other_states={rse: state for rse, state in states.items() if state != "AVAILABLE"},
        urls={rse: urls[0] for rse, urls in row["rses"].items() if urls},
    )
