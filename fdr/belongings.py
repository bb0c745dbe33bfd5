"""What belongs to a run: datasets, files and rules that its journal intended, under its name. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from fdr.dataset_plan import upload_rule
from fdr.errors import UsageError
from fdr.model import Did, Intention, Kind
from fdr.names import dataset_name, is_name_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Set

    from fdr.inventory import FileRecord
    from fdr.model import Experiment, Scenario
    from fdr.removal import PlacedRule

CLEANING_PREFIX = "{run}/{experiment}/cleaning-"
NAMES_TOLD = 3


@dataclass(frozen=True, slots=True)
class RunFile:
    """A file that a run was to upload, and the RSE it was to be put at."""

    did: Did
    rse: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class RunDataset:
    """A dataset of a run with all that was intended for it; ``rules`` are its rules' RSE expressions."""

    experiment: str
    account: str
    did: Did
    files: tuple[RunFile, ...]
    rules: frozenset[str]


def belongings(run: str, scenario: Scenario, intentions: Iterable[Intention]) -> Iterator[RunDataset]:
    """Return the datasets of a run from its intentions, which come by experiment and dataset.

    Raises UsageError when an intention is not what this run could have intended: then the record and the
    scenario do not belong together, and nothing may be concluded from them.
    """
    for (name, number), group in groupby(intentions, key=lambda one: (one.experiment, one.dataset)):
        experiment = scenario.experiments.get(name)
        if experiment is None:
            raise UsageError(f"the journal holds {name}, and the run's scenario.yaml has no such experiment")
        did = Did(experiment.scope, dataset_name(experiment, run, number))
        files: dict[Did, RunFile] = {}
        rules: set[str] = set()
        for intention in group:
            _check(run, experiment, did, intention)
            if intention.kind is Kind.DATASET:
                rules.add(upload_rule(experiment, intention.rse).to)
            elif intention.kind is Kind.UPLOAD:
                files[intention.did] = RunFile(intention.did, intention.rse, intention.size_bytes)
            elif intention.kind is Kind.RULE:
                rules.add(intention.rse)
        yield RunDataset(name, experiment.account, did, tuple(files.values()), frozenset(rules))


def batches(datasets: Iterable[RunDataset], files: int) -> Iterator[list[RunDataset]]:
    """Return the datasets in groups of one experiment each, with about so many files in a group."""
    for _, group in groupby(datasets, key=lambda dataset: dataset.experiment):
        batch: list[RunDataset] = []
        held = 0
        for dataset in group:
            batch.append(dataset)
            held += len(dataset.files) + 1  # a dataset without files is not free either
            if held >= files:
                yield batch
                batch, held = [], 0
        if batch:
            yield batch


def cleaning_prefix(run: str, experiment: str) -> str:
    """Return how the names begin of the datasets that cleaning itself makes for an experiment."""
    return CLEANING_PREFIX.format(run=run, experiment=experiment)


def strangers(
    dataset: RunDataset, contents: Set[Did], rules: Iterable[PlacedRule], locking: Collection[str]
) -> str:
    """Say what of somebody else's hangs on a dataset of the run, "" if there is nothing.

    ``contents`` are the files that Rucio has in it, ``rules`` those on it, ``locking`` the ids of rules that
    lock it, be they on it or on something that holds it. To take such a dataset away would also take away
    what somebody put into it, or asked Rucio to keep.
    """
    others = sorted(map(str, contents - {file.did for file in dataset.files}))
    known = {rule.rule_id for rule in rules}
    foreign = [rule for rule in rules if not _is_own(dataset, rule)]
    told = []
    if others:
        shown = ", ".join(others[:NAMES_TOLD])
        told.append(f"holds {len(others)} files that are not this run's ({shown})")
    told += [f"rule {rule.rule_id} of account {rule.account} is on it" for rule in foreign[:NAMES_TOLD]]
    told += [f"rule {rule} locks it from elsewhere" for rule in sorted(set(locking) - known)[:NAMES_TOLD]]
    return "; ".join(told)


def unlocked(records: Iterable[FileRecord], locks: Set[tuple[Did, str]]) -> dict[str, list[Did]]:
    """Return, by RSE, the files with an available replica that no rule locks, and so would never purge."""
    found: dict[str, list[Did]] = {}
    for record in records:
        for rse in sorted(record.rses):
            if (record.did, rse) not in locks:
                found.setdefault(rse, []).append(record.did)
    return found


def _check(run: str, experiment: Experiment, dataset: Did, intention: Intention) -> None:
    is_dataset = intention.kind is not Kind.UPLOAD
    expected = intention.did == dataset if is_dataset else intention.did.scope == experiment.scope
    if not expected or not is_name_of(run, intention.did.name):
        raise UsageError(
            f"the journal intends {intention.did}, which run {run} cannot have made for "
            f"{experiment.name}: nothing is touched (is this scenario.yaml the run's own?)"
        )


def _is_own(dataset: RunDataset, rule: PlacedRule) -> bool:
    return rule.account == dataset.account and rule.expression in dataset.rules
