"""Audit a run: read its journal, ask Rucio and the storages in bulk, and sum up what differs."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from fdr.audit.compare import (
    Bytes,
    Compared,
    Seen,
    compare_datasets,
    compare_file,
    compare_rules,
    places,
    strangers,
)
from fdr.audit.finding import Audit
from fdr.audit.look import Lookout
from fdr.audit.record import Record, RecordedDataset, Upload
from fdr.belongings import CLEANING_PREFIX
from fdr.catalog import Catalog, RseFacts
from fdr.errors import LakeError, Refused
from fdr.inventory import MAX_DIDS_PER_CALL, FileRecord, Inventory
from fdr.journal.reader import JournalReader
from fdr.model import CLEANING, Did, Kind, Scenario
from fdr.pfn import Locator
from fdr.storage.base import Storage

AT_ONCE = 1000  # files, or datasets without files, that are audited together

Progress = Callable[[int, int], None]
Filled = tuple[RecordedDataset, Sequence[Upload]]  # a dataset, and the files that were meant for it


@dataclass(frozen=True, slots=True)
class _Case:
    """One file to audit, and whether Rucio has it in its dataset."""

    upload: Upload
    dataset: RecordedDataset
    is_attached: bool


@dataclass(frozen=True, slots=True)
class _Looked:
    """What the storages said of one file, and why some did not."""

    seen: Seen
    unseen: Mapping[str, LakeError]


class Auditor:
    """Audits one run; holds a dataset of it, or ``AT_ONCE`` files, and five bytes of every file.

    Files are looked for under the names that the journal intended for them: the plan decides names, so what
    a run can have put anywhere is known without listing directories that it shares with others.
    """

    def __init__(self, catalog: Catalog, inventory: Inventory, storage: Storage, scenario: Scenario) -> None:
        """Take whom to ask, and the scenario as it was run."""
        self._catalog = catalog
        self._inventory = inventory
        self._lookout = Lookout(storage)
        self._scenario = scenario
        self._facts: dict[str, RseFacts | None] = {}

    async def audit(self, reader: JournalReader, now: float, progress: Progress = lambda *_: None) -> Audit:
        """Return what differs between journal, Rucio and storages; ``now`` (Unix seconds) tells what expired.

        ``progress`` is told how many files of how many are done. Raises LakeError when Rucio cannot be asked.
        """
        audit = Audit(reader.started.run, now)
        removals = [note.at for note in reader.notes() if note.kind == CLEANING]
        record = Record(self._scenario.experiments, min(removals, default=math.inf))
        record.take(reader.by_dataset(Kind.DATASET, Kind.RULE), reader.outcomes())
        total = reader.count(Kind.UPLOAD)
        for experiment, batch in _batches(_filled(reader, record), AT_ONCE):
            await self._datasets(audit, self._scenario.experiments[experiment].account, batch)
            progress(audit.files, total)
        await self._collections(audit, record)
        return audit

    # --- datasets and rules -----------------------------------------------------------------------

    async def _collections(self, audit: Audit, record: Record) -> None:
        """Hold the journal's datasets and rules against Rucio's, scope by scope."""
        accounts = {exp.scope: exp.account for exp in self._scenario.experiments.values()}
        datasets, rules = list(record.datasets().values()), record.rules()
        audit.datasets, audit.rules = len(datasets), len(rules)
        prefix = f"{audit.run}/"
        for scope, account in accounts.items():
            made_to_clean = self._cleaning_prefixes(audit.run)
            found = await self._inventory.datasets(account, scope, prefix)
            known = [did for did in found if not did.name.startswith(made_to_clean)]
            own = [dataset for dataset in datasets if dataset.did.scope == scope]
            findings, expired = compare_datasets(own, known, audit.at)
            audit.add(*findings)
            audit.expired_datasets += expired
            states = await self._catalog.rules(account, scope, prefix)
            added = [rule for rule in rules if rule.did.scope == scope]
            findings, expired = compare_rules(
                added,
                {s.rule_id: s.did for s in states if not s.did.name.startswith(made_to_clean)},
                audit.at,
            )
            audit.add(*findings)
            audit.expired_rules += expired

    def _cleaning_prefixes(self, run: str) -> tuple[str, ...]:
        """Return how the names of the datasets begin that ``fdr clean`` makes."""
        return tuple(CLEANING_PREFIX.format(run=run, experiment=name) for name in self._scenario.experiments)

    # --- files ------------------------------------------------------------------------------------

    async def _datasets(self, audit: Audit, account: str, batch: Sequence[Filled]) -> None:
        """Audit what is in some datasets, and what should be."""
        contents = await self._inventory.contents(account, [dataset.did for dataset, _ in batch])
        cases = []
        for dataset, uploads in batch:
            inside = contents[dataset.did]
            audit.add(*strangers(dataset.did, inside, {upload.did for upload in uploads}))
            cases += [_Case(upload, dataset, upload.did in inside) for upload in uploads]
        for first in range(0, len(cases), MAX_DIDS_PER_CALL):
            await self._files(audit, account, cases[first : first + MAX_DIDS_PER_CALL])

    async def _files(self, audit: Audit, account: str, cases: Sequence[_Case]) -> None:
        """Audit files; what is found is looked at once more: the lake may have changed between two looks."""
        results = await self._compare(account, cases, audit.at)
        suspects = [case for case, (compared, _) in zip(cases, results, strict=True) if compared.findings]
        again = iter(await self._compare(account, suspects, audit.at) if suspects else ())
        audit.files += len(cases)
        for first_result in results:
            compared, looked = next(again) if first_result[0].findings else first_result
            audit.add(*compared.findings)
            if compared.fate is not None:
                audit.fates[compared.fate] += 1
            audit.copies += len(looked.seen) + len(looked.unseen)
            for rse, error in looked.unseen.items():
                audit.unseen[rse] += 1
                audit.why.setdefault(rse, str(error))

    async def _compare(
        self, account: str, cases: Sequence[_Case], now: float
    ) -> list[tuple[Compared, _Looked]]:
        records = await self._inventory.files(account, [case.upload.did for case in cases])
        looks = await asyncio.gather(
            *(self._look(account, case.upload, records.get(case.upload.did)) for case in cases)
        )
        return [
            (
                compare_file(
                    case.upload,
                    records.get(case.upload.did),
                    looked.seen,
                    case.dataset.did,
                    case.is_attached,
                    now >= case.dataset.may_go_at,
                ),
                looked,
            )
            for case, looked in zip(cases, looks, strict=True)
        ]

    async def _look(self, account: str, upload: Upload, record: FileRecord | None) -> _Looked:
        """Look for one file wherever it should be, and where it was to be put."""
        rses = sorted(places(upload, record))
        answers = await asyncio.gather(
            *(self._look_at(account, rse, upload.did, record) for rse in rses), return_exceptions=True
        )
        seen: dict[str, Bytes | None] = {}
        unseen: dict[str, LakeError] = {}
        for rse, answer in zip(rses, answers, strict=True):
            if isinstance(answer, LakeError):
                unseen[rse] = answer
            elif isinstance(answer, BaseException):
                raise answer
            else:
                seen[rse] = answer
        return _Looked(seen, unseen)

    async def _look_at(self, account: str, rse: str, did: Did, record: FileRecord | None) -> Bytes | None:
        url = record.urls.get(rse) if record is not None else None
        if url is None and record is not None and rse in record.rses:
            raise Refused("no-protocol", f"{rse}: offers no protocol for reading over the wide area")
        return await self._lookout.look(rse, url or await self._intended_url(account, rse, did))

    async def _intended_url(self, account: str, rse: str, did: Did) -> str:
        """Return where the run would have put a file."""
        if rse not in self._facts:
            self._facts[rse] = await self._catalog.rse(account, rse)
        facts = self._facts[rse]
        if facts is None:
            raise Refused("rse-not-found", f"{rse}: Rucio does not know this RSE any more")
        if not facts.deterministic or not facts.prefixes:
            raise Refused("no-protocol", f"{rse}: it cannot be told where the run would have put its files")
        return Locator(facts).url(did)


def _filled(reader: JournalReader, record: Record) -> Iterator[tuple[str, RecordedDataset, list[Upload]]]:
    """Return experiment, dataset and uploads, dataset by dataset; those that were to stay empty last."""
    datasets = record.datasets()
    for key, intentions in groupby(reader.by_dataset(Kind.UPLOAD), key=lambda i: (i.experiment, i.dataset)):
        uploads = {intention.action: record.upload(intention) for intention in intentions}
        yield key[0], datasets.pop(key), list(uploads.values())
    for (experiment, _), dataset in datasets.items():
        yield experiment, dataset, []


def _batches(
    filled: Iterable[tuple[str, RecordedDataset, list[Upload]]], at_once: int
) -> Iterator[tuple[str, list[Filled]]]:
    """Gather datasets of one experiment until they have ``at_once`` files, or are as many themselves."""
    batch: list[Filled] = []
    files = 0
    of = ""
    for experiment, dataset, uploads in filled:
        if batch and (experiment != of or files + len(uploads) > at_once or len(batch) >= at_once):
            yield of, batch
            batch, files = [], 0
        of = experiment
        batch.append((dataset, uploads))
        files += len(uploads)
    if batch:
        yield of, batch
