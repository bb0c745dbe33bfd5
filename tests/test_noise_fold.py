"""What a journal says of a pass becomes one state a pair, with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from fdr.model import Did, Ending, Event, Intention, Kind, Outcome, RuleSeen, TransferSeen
from fdr.noise.fold import NoiseFold
from fdr.noise.pair import Pair, Part, State
from fdr.noise.recipe import Recipe
from fdr.noise.scenario import noise_scenario
from tests.small_scenario import load_value

A, B, C = "SITE-A", "SITE-B", "SITE-C"
SCENARIO = load_value(noise_scenario([Part(A), Part(B), Part(C)], Recipe("noise", "noise")))
FILE = Did("noise", "run/SITE-A/noise-100MB-0")
DATASET = Did("noise", "run/SITE-A/dataset-00000")
UPLOAD, RULE_B, RULE_C = 1, 2, 3


def told(*events: Event) -> dict[tuple[str, str], Pair]:
    return {(pair.src, pair.dst): pair for pair in NoiseFold(SCENARIO, events).pairs()}


def intentions() -> Iterator[Event]:
    yield Intention(UPLOAD, Kind.UPLOAD, A, 0, FILE, A, 10, 0.0)
    for action, rse in ((RULE_B, B), (RULE_C, C)):
        yield Intention(action, Kind.RULE, A, 0, DATASET, rse, 0, 0.0)


def outcome(action: int, step: str, ending: Ending = Ending.OK, **more: Any) -> Outcome:
    return Outcome(action, step, 10.0, 12.5, ending, **more)


PUT = outcome(UPLOAD, "put")
REGISTERED = outcome(UPLOAD, "register")
ADDED = outcome(RULE_B, "rule", detail="rule-b")
UPLOADED = (*intentions(), PUT, REGISTERED, ADDED)


def seen(state: str, at: float, ok: int = 0, error: str = "") -> RuleSeen:
    return RuleSeen(at, "rule-b", state, ok, 1 - ok, 0, error)


def moved(src: str, *, done: bool = True, reason: str = "") -> TransferSeen:
    return TransferSeen(20.0, done, "r", FILE, src, B, 10, "", "root", None, None, None, None, reason)


def test_a_rule_that_was_ok_is_ok_since_it_was_first_seen_so() -> None:
    """The duration is from when the rule was asked for; where the bytes came from is told."""
    pair = told(*UPLOADED, seen("REPLICATING", 15), moved(A), seen("OK", 30, 1), seen("OK", 60, 1))[A, B]
    assert pair == Pair(A, B, State.OK, "", 20.0, A)


def test_a_rule_without_a_lock_is_not_ok() -> None:
    """Rucio calls a rule OK that has nothing to do."""
    assert told(*UPLOADED, seen("OK", 30, 0))[A, B].state is State.REPLICATING


def test_a_rule_that_got_stuck_again_is_stuck_with_what_copying_said() -> None:
    """The last state counts; the reason is that of the copies, and Rucio's own where none is known."""
    failed = moved(A, done=False, reason="no space")
    pair = told(*UPLOADED, seen("OK", 30, 1), failed, failed, seen("STUCK", 40))[A, B]
    assert pair == Pair(A, B, State.STUCK, "copying failed 2 times: no space")
    assert told(*UPLOADED, seen("STUCK", 40, error="quota"))[A, B].reason == "quota"


def test_bytes_that_came_from_another_rse_are_told() -> None:
    """With one file an RSE, a copy may be taken from an RSE that had its own earlier."""
    assert told(*UPLOADED, moved(C), seen("OK", 30, 1))[A, B].copied_from == C


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        (
            (outcome(UPLOAD, "put", Ending.FAILED, reason="timeout"),),
            "the file could not be put: timeout",
        ),
        (
            (PUT, outcome(UPLOAD, "register", Ending.UNKNOWN, reason="r", message="Rucio hung")),
            "the file could not be registered: Rucio hung",
        ),
        (
            (PUT, REGISTERED, outcome(RULE_B, "rule", Ending.FAILED, reason="r", message="no quota")),
            "the rule could not be added: no quota",
        ),
    ],
    ids=["put", "register", "rule"],
)
def test_what_could_not_be_done_has_failed_with_its_reason(events: tuple[Event, ...], reason: str) -> None:
    """A rule on a dataset that stayed empty is no success, whatever Rucio calls it."""
    rule = () if any(event.step == "rule" for event in events) else (ADDED, seen("OK", 30))  # type: ignore[attr-defined]
    pair = told(*intentions(), *events, *rule)[A, B]
    assert (pair.state, pair.reason) == (State.FAILED, reason)


def test_what_a_pass_did_not_come_to_is_skipped() -> None:
    """Interrupted at any moment, every pair has a state."""
    whole = [*intentions(), PUT, REGISTERED]
    for end in range(len(whole) + 1):
        assert told(*whole[:end])[A, B].state is State.SKIPPED
    assert len(told()) == 6
    dropped = outcome(UPLOAD, "put", Ending.DROPPED, reason="stopped")
    assert told(*intentions(), dropped)[A, B].state is State.SKIPPED


def test_the_longest_put_counts_for_an_rse() -> None:
    """With a mesh there are several at each."""
    mesh = load_value(noise_scenario([Part(A), Part(B), Part(C)], Recipe("noise", "noise", mesh=True)))
    events: list[Event] = []
    for action, (name, seconds) in enumerate((("SITE-A--SITE-B", 2.0), ("SITE-A--SITE-C", 7.0))):
        events.append(Intention(action, Kind.UPLOAD, name, 0, Did("noise", name), A, 10, 0.0))
        events.append(replace(PUT, action=action, ended_at=10.0 + seconds))
    assert NoiseFold(mesh, events).upload_seconds() == {A: 7.0}
