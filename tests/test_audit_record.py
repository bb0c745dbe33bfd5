"""What the journal says of every file, dataset and rule is what its events say, in little memory."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdr.audit.record import PAGE, Record, Standing
from fdr.model import Did, Ending, Intention, Kind, Outcome
from tests.lake.smoke import smoke

EXPERIMENTS = smoke().experiments
CTA = EXPERIMENTS["CTA"]
DATASET = Did("cta_fdr", "run/CTA/dataset-00000")
OK, FAILED, UNKNOWN, DROPPED = Ending.OK, Ending.FAILED, Ending.UNKNOWN, Ending.DROPPED


def upload(action: int) -> Intention:
    return Intention(action, Kind.UPLOAD, "CTA", 0, Did("cta_fdr", f"{action}"), "PIC-DCACHE", 10, 0.0)


def outcome(action: int, step: str, ending: Ending, detail: str = "", begun_at: float = 0.0) -> Outcome:
    return Outcome(action, step, begun_at, begun_at + 1, ending, detail=detail)


def expected(put: Ending | None, register: Ending | None) -> Standing:
    if register is OK:
        return Standing.REGISTERED
    if put in {FAILED, DROPPED}:
        return Standing.NOT_PUT
    if put is OK and register in {FAILED, DROPPED}:
        return Standing.UNREGISTERED
    return Standing.UNKNOWN


steps = st.tuples(
    # Actions of one experiment and kind are successive, those of two lie far apart.
    st.sampled_from([0, 1, PAGE - 1, PAGE, 1 << 45, (1 << 45) + 1]),
    st.sampled_from(["put", "register"]),
    st.sampled_from([OK, FAILED, UNKNOWN, DROPPED]),
    st.sampled_from(["", "00000000", "00000001", "ffffffff"]),
)


@given(st.lists(steps))
def test_the_last_outcome_of_each_step_says_how_a_file_stands(
    told: list[tuple[int, str, Ending, str]],
) -> None:
    """Whatever the order of outcomes, and wherever the actions lie."""
    record = Record(EXPERIMENTS)
    record.take([], [outcome(*step) for step in told])
    last = {(action, step): (ending, detail) for action, step, ending, detail in told}
    for action in (0, 1, PAGE - 1, PAGE, 1 << 45, (1 << 45) + 1, 99):
        put, adler32 = last.get((action, "put"), (None, ""))
        register, _ = last.get((action, "register"), (None, ""))
        found = record.upload(upload(action))
        assert found.standing is expected(put, register)
        assert found.adler32 == (adler32 if put is OK else "")


def test_a_file_costs_a_few_bytes() -> None:
    """A million files fit in six megabytes."""
    record = Record(EXPERIMENTS)
    record.take([], (outcome(action, "put", OK, "0a0b0c0d") for action in range(100_000)))
    kept = [sys.getsizeof(part) for page in record._pages.values() for part in (page.endings, page.adler32)]
    assert sum(kept) / 100_000 < 6


def intention(action: int, kind: Kind, to: str = "") -> Intention:
    return Intention(action, kind, "CTA", 0, DATASET, to, 0, 0.0)


def test_parts_of_a_dataset_may_be_gone_when_its_first_lifetime_is_over() -> None:
    """That of the dataset, or that of a rule on it, counted from when they were made."""
    short = replace(CTA.rules[0], lifetime_s=60, to="DESY")
    experiments = {
        "CTA": replace(CTA, dataset_lifetime_s=600, rules=(short, replace(short, lifetime_s=60_000)))
    }
    record = Record(experiments)
    intentions = [intention(1, Kind.DATASET), intention(2, Kind.RULE, "DESY")]
    record.take(intentions, [outcome(1, "create", OK, begun_at=1000.0)])
    (dataset,) = record.datasets().values()
    assert (dataset.did, dataset.ending, dataset.may_go_at) == (DATASET, OK, 1600.0)
    record.take([], [outcome(2, "rule", OK, "id", begun_at=1100.0)])
    assert record.datasets()["CTA", 0].may_go_at == 1160.0
    (rule,) = record.rules()
    assert (rule.rule_id, rule.to, rule.ending, rule.may_go_at) == ("id", "DESY", OK, 1160.0)


def test_a_rule_goes_with_its_dataset() -> None:
    """Rucio removes the rules on a dataset that has expired."""
    experiments = {"CTA": replace(CTA, dataset_lifetime_s=10)}
    record = Record(experiments)
    to = CTA.rules[0].to
    record.take(
        [intention(1, Kind.DATASET), intention(2, Kind.RULE, to)],
        [outcome(1, "create", OK, begun_at=0.0), outcome(2, "rule", OK, "id", begun_at=5.0)],
    )
    assert record.rules()[0].may_go_at == 10.0


@pytest.mark.parametrize(("ending", "goes_at"), [(OK, 50.0), (UNKNOWN, 50.0), (FAILED, 86_400.0)])
def test_a_rule_may_be_gone_once_it_was_cancelled(ending: Ending, goes_at: float) -> None:
    """Unless cancelling it certainly failed."""
    record = Record(EXPERIMENTS)
    intentions = [intention(1, Kind.DATASET), intention(2, Kind.RULE, CTA.rules[0].to)]
    made = [outcome(1, "create", OK), outcome(2, "rule", OK, "id")]
    record.take(intentions, [*made, outcome(2, "cancel", ending, "id", begun_at=50.0)])
    assert record.rules()[0].may_go_at == goes_at


def test_all_of_a_run_may_be_gone_once_its_removal_began() -> None:
    """Whatever its lifetimes are."""
    record = Record(EXPERIMENTS, removed_at=7.0)
    intentions = [intention(1, Kind.DATASET), intention(2, Kind.RULE, CTA.rules[0].to)]
    record.take(intentions, [outcome(1, "create", OK), outcome(2, "rule", OK, "id")])
    assert record.datasets()["CTA", 0].may_go_at == 7.0
    assert record.rules()[0].may_go_at == 7.0


def test_what_was_never_made_never_expires() -> None:
    """A dataset without an outcome has no lifetime."""
    record = Record(EXPERIMENTS)
    record.take([intention(1, Kind.DATASET)], [])
    assert record.datasets()["CTA", 0].may_go_at == float("inf")
