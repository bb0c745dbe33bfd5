"""The ledger knows what Rucio must come to hold."""

from __future__ import annotations

from fdr.ledger import Ledger
from fdr.model import Did, Ending, Intention, Kind, Outcome, TransferSeen

DATASET = Did("cta", "run/CTA/dataset-00000")


def uploaded(number: int, rse: str, ending: Ending = Ending.OK) -> list[Intention | Outcome]:
    did = Did("cta", f"run/{number}")
    return [
        Intention(number, Kind.UPLOAD, "CTA", 0, did, rse, 10, 0.0),
        Outcome(number, "put", 0.0, 1.0, Ending.OK),
        Outcome(number, "register", 1.0, 2.0, ending),
    ]


def a_ledger() -> Ledger:
    ledger = Ledger()
    ledger.take(Intention(100, Kind.DATASET, "CTA", 0, DATASET, "", 0, 0.0))
    events = [*uploaded(0, "A"), *uploaded(1, "A"), *uploaded(2, "B"), *uploaded(3, "B", Ending.FAILED)]
    for event in events:
        ledger.take(event)
    return ledger


def test_only_registered_files_count() -> None:
    """A file whose registration failed is not in its dataset."""
    assert a_ledger().files(DATASET) == 3


def test_a_file_needs_a_transfer_to_every_other_rse_that_locks_its_dataset() -> None:
    """Where a file was uploaded it need not go."""
    ledger = a_ledger()
    assert ledger.transfers_needed({DATASET: frozenset({"A"})}) == 1
    assert ledger.transfers_needed({DATASET: frozenset({"C"})}) == 3
    assert ledger.transfers_needed({DATASET: frozenset({"A", "B", "C"})}) == 6
    assert ledger.transfers_needed({}) == 0


def test_done_transfers_and_added_rules_are_counted() -> None:
    """Failed transfers and failed rules are not."""
    ledger = a_ledger()
    for done in (True, False, True):
        ledger.take(
            TransferSeen(0.0, done, "r", Did("cta", "run/1"), "A", "B", 10, "", "", None, None, None, None)
        )
    ledger.take(Outcome(7, "rule", 0.0, 1.0, Ending.OK, detail="rule-1"))
    ledger.take(Outcome(8, "rule", 0.0, 1.0, Ending.FAILED, "account-limit"))
    assert ledger.transfers_done == 2
    assert ledger.rules == {"rule-1": 7}
    ledger.take(Outcome(7, "cancel", 2.0, 3.0, Ending.FAILED, "access-denied", detail="rule-1"))
    assert ledger.rules == {"rule-1": 7}
    ledger.take(Outcome(7, "cancel", 2.0, 3.0, Ending.OK, detail="rule-1"))
    assert ledger.rules == {}  # nobody waits for it
