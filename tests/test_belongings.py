"""What belongs to a run is what its journal intended under its name, and nothing else."""

from __future__ import annotations

import pytest

from fdr.belongings import RunDataset, RunFile, batches, belongings, cleaning_prefix, strangers, unlocked
from fdr.errors import UsageError
from fdr.inventory import FileRecord
from fdr.model import Did, Intention, Kind
from fdr.names import is_name_of
from fdr.removal import PlacedRule
from tests.small_scenario import load_value, small

RUN = "20261122T203015-7f3a"
SCENARIO = load_value(small())
DATASET = Did("cta", f"{RUN}/CTA/dataset-00000")


def file(number: int, run: str = RUN, scope: str = "cta") -> Did:
    return Did(scope, f"{run}/CTA/00000/{number:07d}")


def upload(number: int, did: Did | None = None, dataset: int = 0, experiment: str = "CTA") -> Intention:
    did = did or file(number)
    return Intention(number, Kind.UPLOAD, experiment, dataset, did, "A-ONE", 10, 0.0)


def of_dataset(kind: Kind, did: Did = DATASET, rse: str = "") -> Intention:
    return Intention(1000, kind, "CTA", 0, did, rse, 0, 0.0)


def a_dataset(files: int = 2, rules: frozenset[str] = frozenset({"A-ONE", "QOS=SAFE"})) -> RunDataset:
    return RunDataset(
        "CTA", "cta", DATASET, tuple(RunFile(file(n), "A-ONE", 10) for n in range(files)), rules
    )


def test_a_dataset_comes_with_its_files_and_rules() -> None:
    """What was intended twice, as after a resumption, is there once."""
    intentions = [
        of_dataset(Kind.DATASET, rse="A-ONE"), upload(0), upload(1), upload(1),
        of_dataset(Kind.RULE, rse="QOS=SAFE"), of_dataset(Kind.CLOSE),
    ]  # fmt: skip
    assert list(belongings(RUN, SCENARIO, intentions)) == [a_dataset()]


@pytest.mark.parametrize(
    "intention",
    [
        upload(0, file(0, run="20261122T203015-0000")),
        upload(0, file(0, scope="ska")),
        upload(0, Did("cta", "precious")),
        of_dataset(Kind.DATASET, Did("cta", f"{RUN}/CTA/dataset-00001")),
        of_dataset(Kind.RULE, Did("ska", f"{RUN}/CTA/dataset-00000")),
        upload(0, experiment="LHC"),
    ],
)
def test_a_record_that_names_what_the_run_cannot_have_made_is_refused(intention: Intention) -> None:
    """Another run's file, another scope, a name without the run, an experiment that is not there."""
    with pytest.raises(UsageError):
        list(belongings(RUN, SCENARIO, [of_dataset(Kind.DATASET), intention]))


def test_batches_hold_whole_datasets_of_one_experiment() -> None:
    """As many as reach the size asked for."""
    one, other = a_dataset(3), RunDataset("SKA", "ska", Did("ska", "x"), (), frozenset())
    assert [len(batch) for batch in batches([one] * 5 + [other], 8)] == [2, 2, 1, 1]
    assert list(batches([], 8)) == []


def test_nothing_strange_hangs_on_a_dataset_as_the_run_left_it() -> None:
    """Its own files, its own rules, by its own account; half of them may be missing."""
    rules = [PlacedRule("r1", "cta", "QOS=SAFE")]
    assert strangers(a_dataset(), {file(0), file(1)}, rules, {"r1"}) == ""
    assert strangers(a_dataset(), {file(0)}, [], ()) == ""


@pytest.mark.parametrize(
    ("contents", "rules", "locking", "told"),
    [
        ({file(0), Did("cta", "precious")}, [], [], "cta:precious"),
        ({file(0), file(77)}, [], [], "0000077"),
        ({file(0)}, [PlacedRule("r9", "root", "QOS=SAFE")], [], "account root"),
        ({file(0)}, [PlacedRule("r9", "cta", "QOS=FAST")], [], "rule r9"),
        ({file(0)}, [PlacedRule("r1", "cta", "QOS=SAFE")], ["r1", "r8"], "r8"),
    ],
)
def test_what_others_put_on_a_dataset_is_told(
    contents: set[Did], rules: list[PlacedRule], locking: list[str], told: str
) -> None:
    """A file that was not intended, a rule of somebody else or of another kind, a lock from elsewhere."""
    assert told in strangers(a_dataset(), contents, rules, locking)


def test_replicas_without_a_lock_are_found_where_they_are() -> None:
    """Only available ones: others are on their way in or out already."""
    records = [
        FileRecord(file(0), 10, "", frozenset({"A", "B"})),
        FileRecord(file(1), 10, "", frozenset({"A"}), {"B": "COPYING", "C": "BEING_DELETED"}),
    ]
    assert unlocked(records, {(file(0), "B")}) == {"A": [file(0), file(1)]}


def test_what_cleaning_makes_bears_the_run_too() -> None:
    """So that a later cleaning finds it."""
    assert is_name_of(RUN, cleaning_prefix(RUN, "CTA"))
    assert not is_name_of(RUN, "20261122T203015-7f3b/CTA/0")
