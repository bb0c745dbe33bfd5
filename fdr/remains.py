"""Look for what there is of a run: in Rucio and, name by name, on the storages."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fdr.belongings import RunDataset, RunFile
from fdr.cleaned import Thing
from fdr.errors import LakeError
from fdr.inventory import MAX_DIDS_PER_CALL, FileRecord, Inventory
from fdr.model import Did, Experiment
from fdr.pfn import Locator
from fdr.removal import PlacedRule, Removal
from fdr.storage.base import Stat, Storage

STATS_AT_ONCE = 16  # at one RSE
FAILURES_TO_GIVE_UP = 5  # in a row, before an RSE is not asked any more

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Places:
    """Where files of a run may lie: the RSEs of each experiment's copies, and how to find files at an RSE."""

    copies: Mapping[str, frozenset[str]]
    locators: Mapping[str, Locator]

    def of(self, dataset: RunDataset, file: RunFile) -> frozenset[str]:
        """Return the RSEs where a file or its copies may lie."""
        return self.copies[dataset.experiment] | {file.rse}


class Look:
    """Sees what is there, batch by batch; changes nothing. Raises LakeError when Rucio cannot be asked."""

    def __init__(self, inventory: Inventory, removal: Removal, storage: Storage, places: Places) -> None:
        """Take the doors to the lake, and where files may lie."""
        self._inventory = inventory
        self._removal = removal
        self._storage = storage
        self._places = places
        self._failures: Counter[str] = Counter()
        self._slots = {rse: asyncio.Semaphore(STATS_AT_ONCE) for rse in places.locators}

    async def at(self, batch: Sequence[RunDataset]) -> list[Thing]:
        """Return all that there is of some datasets of one experiment."""
        experiment, account = batch[0].experiment, batch[0].account
        datasets = await present(self._removal, account, [dataset.did for dataset in batch])
        records = await records_of(
            self._inventory, account, [file.did for dataset in batch for file in dataset.files]
        )
        things = await self.collections(experiment, account, sorted(datasets, key=str))
        for did, record in records.items():
            things.append(Thing("file", experiment, did, "", record.size_bytes))
            things += [
                Thing("replica", experiment, did, rse, record.size_bytes, state)
                for rse, state in sorted(states(record).items())
            ]
        return things + await self.stored(batch)

    async def collections(self, experiment: str, account: str, datasets: Sequence[Did]) -> list[Thing]:
        """Return datasets that are there, each after its rules."""
        rules = await rules_of(self._removal, account, datasets)
        return [
            thing
            for did in datasets
            for thing in (
                *(Thing("rule", experiment, did, rule.expression, 0, rule.rule_id) for rule in rules[did]),
                Thing("dataset", experiment, did),
            )
        ]

    async def stored(self, batch: Sequence[RunDataset]) -> list[Thing]:
        """Return what storages have at the URLs of these files, and where they could not be asked."""
        return await self._find(
            (dataset.experiment, file.did, rse)
            for dataset in batch
            for file in dataset.files
            for rse in sorted(self._places.of(dataset, file))
        )

    async def checks(self, experiment: Experiment, check_file: Did) -> list[Thing]:
        """Return what is left at any RSE of the file by which a run tries whether it may write there."""
        return await self._find((experiment.name, check_file, rse) for rse in sorted(self._places.locators))

    async def _find(self, asked: Iterable[tuple[str, Did, str]]) -> list[Thing]:
        found = await asyncio.gather(*(self._stored(*one) for one in asked))
        return [thing for thing in found if thing is not None]

    async def _stored(self, experiment: str, did: Did, rse: str) -> Thing | None:
        locator = self._places.locators.get(rse)
        if locator is None:
            return Thing("unseen", experiment, did, rse, 0, "its URL is not known")
        async with self._slots[rse]:
            if self._failures[rse] >= FAILURES_TO_GIVE_UP:
                return Thing("unseen", experiment, did, rse, 0, "the storage did not answer before")
            try:
                found: Stat | None = await self._storage.stat(locator.url(did))
            except LakeError as error:
                self._failures[rse] += 1
                return Thing("unseen", experiment, did, rse, 0, str(error))
        self._failures[rse] = 0
        return None if found is None else Thing("stored", experiment, did, rse, found.size_bytes)


async def present(removal: Removal, account: str, dids: Sequence[Did]) -> frozenset[Did]:
    """Return those of any number of DIDs that Rucio knows."""
    return frozenset().union(*await in_calls(dids, lambda some: removal.present(account, some)))


async def records_of(inventory: Inventory, account: str, files: Sequence[Did]) -> dict[Did, FileRecord]:
    """Return what Rucio knows of any number of files."""
    answers = await in_calls(files, lambda some: inventory.files(account, some))
    return {did: record for answer in answers for did, record in answer.items()}


def states(record: FileRecord) -> dict[str, str]:
    """Return the state of every replica of a file by RSE, of those that are being deleted too."""
    return {**dict.fromkeys(record.rses, "AVAILABLE"), **record.other_states}


async def rules_of(
    removal: Removal, account: str, datasets: Sequence[Did]
) -> dict[Did, tuple[PlacedRule, ...]]:
    """Return the rules on each of any number of datasets."""
    answers = await asyncio.gather(*(removal.rules_on(account, did) for did in datasets))
    return dict(zip(datasets, answers, strict=True))


async def in_calls(dids: Sequence[Did], ask: Callable[[Sequence[Did]], Awaitable[T]]) -> list[T]:
    """Ask about any number of DIDs, as many with one call as it may name."""
    starts = range(0, len(dids), MAX_DIDS_PER_CALL)
    return await asyncio.gather(*(ask(dids[start : start + MAX_DIDS_PER_CALL]) for start in starts))
