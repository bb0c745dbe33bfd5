"""Ask Rucio to delete what is a run's, wait for that, remove what Rucio does not know, and count the rest."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from fdr.belongings import RunDataset, batches, cleaning_prefix, strangers, unlocked
from fdr.catalog import Catalog
from fdr.cleaned import Cleaned, Thing, dark
from fdr.clock import Clock
from fdr.errors import Refused
from fdr.inventory import MAX_DIDS_PER_CALL, FileRecord, Inventory
from fdr.model import Did, Experiment, Scenario
from fdr.names import is_name_of
from fdr.preflight import CHECK_FILE
from fdr.remains import Look, Places, in_calls, present, records_of, rules_of, states
from fdr.removal import Removal
from fdr.storage.base import Storage

FILES_AT_ONCE = 4_000  # in memory, with all that is known of them
POLL_S = 3.0
TELL_EVERY_S = 15.0
HOLD_S = 24 * 3600  # what cleaning itself makes has a lifetime too


@dataclass(frozen=True, slots=True)
class Cleaning:
    """The removal of one run from one lake; done again, it goes on from wherever it was.

    ``datasets`` gives the run's datasets anew each time, so that they are never all in memory. Every method
    raises LakeError when Rucio cannot be asked.
    """

    run: str
    scenario: Scenario
    datasets: Callable[[], Iterable[RunDataset]]
    catalog: Catalog
    inventory: Inventory
    removal: Removal
    storage: Storage
    places: Places
    clock: Clock
    say: Callable[[str], None]

    async def survey(self, tell: Callable[[Thing], None]) -> Cleaned:
        """Count, and tell, what there is of the run and what would be kept; changes nothing."""
        found, look = Cleaned(), self._look()
        for batch in batches(self.datasets(), FILES_AT_ONCE):
            await self._assess(batch, found)
            _tell(await look.at(batch), found, tell)
        _tell(await look.checks(*self._check_file()), found, tell)
        _tell(await self._look_at_own(look), found, tell)
        return found

    async def ask(self, done: Cleaned, *, asked_before: bool) -> None:
        """Ask Rucio to delete all that is the run's, but for datasets that something of others hangs on.

        ``asked_before`` says that Rucio was asked for all of it lately: a file whose dataset is gone by now
        only waits.
        """
        for experiment in self.scenario.experiments.values():
            await self._expire(experiment.account, await self._own_datasets(experiment), done)
        for number, batch in enumerate(batches(self.datasets(), FILES_AT_ONCE)):
            there, locks = await self._assess(batch, done)
            doomed = [dataset.did for dataset in there if dataset.did not in done.kept]
            waiting = {dataset.did for dataset in batch} - {dataset.did for dataset in there}
            wanted = set(doomed) if asked_before else {*doomed, *waiting}
            files = [file.did for dataset in batch if dataset.did in wanted for file in dataset.files]
            records = await records_of(self.inventory, batch[0].account, files)
            holding = await self._hold(batch[0], number, unlocked(records.values(), locks), done)
            await self._expire(batch[0].account, doomed + holding, done)

    async def settle(self, done: Cleaned, until: float, since: float) -> None:
        """Wait for Rucio's daemons, batch by batch; then remove what Rucio does not know, and count the rest.

        After ``until`` nothing is waited for, but all is looked at. ``since`` is when Rucio was asked.
        """
        look = self._look()
        for batch in batches(self.datasets(), FILES_AT_ONCE):
            await self._await_daemons(batch, done, until, since)
            things = await look.at(batch)
            if lost := dark(things):
                await self._remove(batch[0].account, lost, done)
                things = [thing for thing in things if thing.kind not in {"stored", "unseen"}]
                things += await look.stored(batch)
            kept = [dataset for dataset in batch if dataset.did in done.kept]
            done.count(things, {file.did for dataset in kept for file in dataset.files})
        experiment, did = self._check_file()
        if lost := dark(await look.checks(experiment, did)):
            await self._remove(experiment.account, lost, done)
            done.count(await look.checks(experiment, did))
        while (things := await self._look_at_own(look)) and self.clock.now() < until:
            await self.clock.sleep_until(self.clock.now() + POLL_S)
        done.count(things)

    def _check_file(self) -> tuple[Experiment, Did]:
        """Return the file that is put at every RSE and removed again before a run, and who puts it."""
        experiment = next(iter(self.scenario.experiments.values()))
        return experiment, Did(experiment.scope, f"{self.run}/{CHECK_FILE}")

    def _look(self) -> Look:
        return Look(self.inventory, self.removal, self.storage, self.places)

    # --- before Rucio is asked --------------------------------------------------------------------

    async def _assess(
        self, batch: Sequence[RunDataset], done: Cleaned
    ) -> tuple[list[RunDataset], set[tuple[Did, str]]]:
        """Return the datasets that are there and what their rules lock; note those that must be kept."""
        account = batch[0].account
        known = await present(self.removal, account, [dataset.did for dataset in batch])
        there = [dataset for dataset in batch if dataset.did in known]
        dids = [dataset.did for dataset in there]
        held = await in_calls(dids, lambda some: self.inventory.contents(account, some))
        contents = {did: files for answer in held for did, files in answer.items()}
        rules = await rules_of(self.removal, account, dids)
        locking = await in_calls(dids, lambda some: self.catalog.dataset_locks(account, some))
        lockers = {did: {rule for rule, _ in pairs} for answer in locking for did, pairs in answer.items()}
        for dataset in there:
            did = dataset.did
            why = strangers(dataset, contents.get(did, frozenset()), rules[did], lockers.get(did, ()))
            if why:
                done.kept[did] = why
        ids = [rule.rule_id for on_it in rules.values() for rule in on_it]
        locks = await asyncio.gather(*(self.removal.locks(account, rule) for rule in ids))
        return there, {lock for of_rule in locks for lock in of_rule}

    # --- asking Rucio -----------------------------------------------------------------------------

    async def _hold(
        self, some: RunDataset, batch: int, at: Mapping[str, Sequence[Did]], done: Cleaned
    ) -> list[Did]:
        """Give replicas that no rule locks a rule that purges them; return the datasets that it is on.

        Without this they would stay: Rucio deletes a replica that never had a rule only where an
        administrator says so, and one that lost its rule only when space is needed.
        """
        activity = self.scenario.experiments[some.experiment].activity
        prefix = f"{cleaning_prefix(self.run, some.experiment)}{self.clock.now():.0f}-{batch:05d}"

        async def hold(dataset: Did, files: Sequence[Did], rse: str) -> None:
            try:
                await self.removal.hold(some.account, dataset, files, rse, HOLD_S, activity)
                done.replicas_held += len(files)
            except Refused as error:
                done.problems[f"{rse}: {len(files)} replicas cannot be purged: {error}"] += 1

        holds = [
            (Did(some.did.scope, f"{prefix}-{rse}-{start:06d}"), dids[start : start + MAX_DIDS_PER_CALL], rse)
            for rse, dids in at.items()
            for start in range(0, len(dids), MAX_DIDS_PER_CALL)
        ]
        await asyncio.gather(*(hold(*one) for one in holds))
        made = await present(self.removal, some.account, [dataset for dataset, _, _ in holds])
        return sorted(made, key=str)

    async def _expire(self, account: str, datasets: Sequence[Did], done: Cleaned) -> None:
        for start in range(0, len(datasets), MAX_DIDS_PER_CALL):
            some = datasets[start : start + MAX_DIDS_PER_CALL]
            try:
                await self._expire_known(account, some)
                done.datasets_expired += len(some)
            except Refused as error:
                done.problems[f"{some[0]} and {len(some) - 1} more cannot be expired: {error}"] += 1

    async def _expire_known(self, account: str, datasets: Sequence[Did]) -> None:
        try:
            await self.removal.expire(account, datasets)
        except Refused as error:
            if error.reason != "data-identifier-not-found":
                raise
            # one that has just expired by itself, and then none of them was taken
            await self.removal.expire(account, list(await self.removal.present(account, datasets)))

    # --- waiting, and what is left ----------------------------------------------------------------

    async def _await_daemons(
        self, batch: Sequence[RunDataset], done: Cleaned, until: float, since: float
    ) -> None:
        """Return when Rucio has nothing of these datasets any more but what is kept, or when it is time."""
        account = batch[0].account
        doomed = [dataset for dataset in batch if dataset.did not in done.kept]
        datasets = [dataset.did for dataset in doomed]
        files = [file.did for dataset in doomed for file in dataset.files]
        tell_at = self.clock.now()
        while True:
            datasets = list(await present(self.removal, account, datasets))
            records = await records_of(self.inventory, account, files)
            files = list(records)
            now = self.clock.now()
            if not (datasets or files) or now >= until:
                return
            if now >= tell_at:
                self.say(_waiting(batch[0].experiment, len(datasets), records, now - since))
                tell_at = now + TELL_EVERY_S
            await self.clock.sleep_until(now + POLL_S)

    async def _remove(self, account: str, lost: Sequence[Thing], done: Cleaned) -> None:
        """Remove files from storages, after Rucio has said once more that it has no replica of them there."""
        known = await records_of(self.inventory, account, list({thing.did for thing in lost}))
        urls = [
            self.places.locators[thing.rse].url(thing.did)
            for thing in lost
            if thing.did not in known or thing.rse not in states(known[thing.did])
        ]
        urls = [url for url in urls if is_name_of(self.run, url)]
        failures = await self.storage.delete(urls)
        done.dark_removed += len(urls) - len(failures)
        for error in failures.values():
            done.problems[f"a file cannot be removed: {error}"] += 1

    async def _own_datasets(self, experiment: Experiment) -> list[Did]:
        """Return the datasets that cleaning has made to hold replicas, now or before."""
        prefix = cleaning_prefix(self.run, experiment.name)
        return sorted(await self.inventory.datasets(experiment.account, experiment.scope, prefix), key=str)

    async def _look_at_own(self, look: Look) -> list[Thing]:
        things = []
        for experiment in self.scenario.experiments.values():
            datasets = await self._own_datasets(experiment)
            things += await look.collections(experiment.name, experiment.account, datasets)
        return things


def _tell(things: Iterable[Thing], found: Cleaned, tell: Callable[[Thing], None]) -> None:
    things = list(things)
    found.count(things)
    for thing in things:
        tell(thing)


def _waiting(experiment: str, datasets: int, files: Mapping[Did, FileRecord], for_s: float) -> str:
    at = Counter(rse for record in files.values() for rse in states(record))
    where = ", ".join(f"{count} at {rse}" for rse, count in at.most_common())
    parts = [f"{datasets} datasets for the undertaker"] if datasets else []
    parts += [f"{at.total()} replicas for the reaper ({where})"] if at else []
    return f"{experiment}: since {for_s:.0f} s wait {' and '.join(parts)}"
