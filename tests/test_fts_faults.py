"""Links that are told to be slow or to fail."""

from __future__ import annotations

from typing import Any

import pytest

from fdr.lake.fts.faults import Fault, Faults, fault_from, fault_reason
from fdr.lake.fts.job import Link
from fdr.lake.fts.submission import Refusal

LINK = Link("root://127.0.1.1", "davs://127.0.1.2")


def test_a_fault_covers_what_its_patterns_match() -> None:
    """By host alone, or by scheme and host."""
    for src, dst, covers in [
        ("*", "*", True),
        ("127.0.1.1", "127.0.1.2", True),
        ("root://127.0.1.1", "davs://*", True),
        ("127.0.1.2", "127.0.1.1", False),
        ("davs://*", "*", False),
    ]:
        assert Fault(src, dst).covers(LINK) is covers, (src, dst)


def test_the_last_fault_told_counts_until_it_is_mended() -> None:
    """So a rule for all links can have exceptions."""
    faults = Faults(seed=1)
    faults.tell(Fault(fail="everything"))
    faults.tell(Fault(dst="127.0.1.2", fail="this"))
    assert faults.draw(LINK).fail == "this"
    faults.mend(None, "127.0.1.2")
    assert faults.draw(LINK).fail == "everything"
    faults.mend(None, None)
    assert faults.draw(LINK) == Fault()


def test_the_same_seed_draws_the_same_failures() -> None:
    """A probability is kept, and a test can be repeated."""

    def draws(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.tell(Fault(fail="sometimes", probability=0.3))
        return [bool(faults.draw(LINK).fail) for _ in range(1000)]

    assert draws(1) == draws(1) != draws(2)
    assert 250 < sum(draws(1)) < 350


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "write a JSON object"),
        ({"delay": 2}, "unknown key 'delay'"),
        ({"delay_s": "2"}, "delay_s: '2' is not a number"),
        ({"delay_s": -1}, "not a number of 0 or more"),
        ({"delay_s": True}, "not a number"),
        ({"hang": 1}, "not a bool"),
        ({"probability": 2}, "more than 1"),
    ],
)
def test_a_fault_that_means_nothing_is_refused(body: Any, message: str) -> None:
    """And the refusal says what to write."""
    with pytest.raises(Refusal, match=message):
        fault_from(body)


def test_a_told_reason_reads_like_one_of_fts() -> None:
    """Rucio sorts failures by their scope and number."""
    assert fault_reason("the disk is full") == "TRANSFER [5] the disk is full"
    assert fault_reason("DESTINATION [28] No space left on device").startswith("DESTINATION [28]")
