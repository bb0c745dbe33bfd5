"""A pass is told truly: in a line, as a matrix, as JSON, and by its exit code."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from fdr.cleaned import Cleaned, Thing
from fdr.errors import ExitCode
from fdr.model import Did
from fdr.noise.pair import Pair, Part, State
from fdr.noise.recipe import Recipe
from fdr.noise.result import Result, counts_left
from fdr.noise.tell import as_json, details, matrix, summary

A, B, C = "SITE-A", "SITE-B", "SITE-C"
OFF = "is not available for writing"
GOOD = Result(
    lake="local",
    recipe=Recipe("noise", "noise"),
    parts=(Part(A), Part(B), Part(C, OFF, OFF)),
    pairs=(
        Pair(A, B, State.OK, "", 12.0, A),
        Pair(A, C, State.SKIPPED, f"{C} {OFF}"),
        Pair(B, A, State.OK, "", 15.0, B),
        Pair(B, C, State.SKIPPED, f"{C} {OFF}"),
        Pair(C, A, State.SKIPPED, f"{C} {OFF}"),
        Pair(C, B, State.SKIPPED, f"{C} {OFF}"),
    ),
    started_at=1000.0,
    known_at=1020.0,
    ended_at=1050.0,
    run="20261122T203015-7f3a",
    run_dir="runs/20261122T203015-7f3a",
    left={},
)


def with_states(*states: State) -> Result:
    return replace(GOOD, pairs=tuple(Pair(A, B, state, "why") for state in states))


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (GOOD, ExitCode.PASSED),
        (with_states(State.OK, State.STUCK), ExitCode.OBJECTIVE_FAILED),
        (with_states(State.FAILED, State.REPLICATING), ExitCode.OBJECTIVE_FAILED),
        (with_states(State.OK, State.REPLICATING), ExitCode.INCONCLUSIVE),
        (with_states(State.SKIPPED), ExitCode.INCONCLUSIVE),
        (with_states(), ExitCode.INCONCLUSIVE),
        (replace(with_states(State.FAILED), was_interrupted=True), ExitCode.INTERRUPTED),
    ],
)
def test_the_exit_code_is_of_the_pairs_that_were_tried(result: Result, code: ExitCode) -> None:
    """What is skipped is nobody's failure, and nothing tried is no success."""
    assert result.exit_code is code


def test_the_summary_is_one_line() -> None:
    """How many pairs were ok, how long it took, what was skipped and why, and what is left."""
    assert summary(GOOD) == (
        f"noise 20261122T203015-7f3a: 2 of 2 pairs ok, 4 skipped, 20s; skipped {C}: {OFF}; nothing left"
    )


def test_the_summary_names_the_first_that_went_wrong() -> None:
    """A line stays a line, however long reasons are; an RSE that is down is named once, not by its pairs."""
    bad = with_states(State.STUCK, State.FAILED, State.REPLICATING, State.OK)
    told = summary(replace(bad, pairs=(*bad.pairs, Pair(A, C, State.STUCK, "x\n" * 500))))
    assert "\n" not in told
    assert "1 of 5 pairs ok, 2 stuck, 1 failed, 1 still replicating" in told
    assert f"{A} > {B}: stuck: why; {A} > {B}: failed: why; and 2 more pairs" in told
    down = replace(GOOD, parts=(Part(A), Part(B, down="timeout")), pairs=(Pair(A, B, State.FAILED, "x"),))
    assert summary(down).count(B) == 1
    assert f"; {B} cannot be written: timeout" in summary(down)


def test_what_is_left_is_said() -> None:
    """Where nobody has asked Rucio to delete it, with when it expires by itself."""
    left = replace(GOOD, left={"replica": 3, "rule": 1})
    assert summary(left).endswith("; left for Rucio's daemons: 3 replicas, 1 rules")
    unknown = replace(GOOD, left=None, uncleaned="Rucio did not answer")
    assert summary(unknown).endswith("not cleaned (Rucio did not answer), expires by 1970-01-01T01:17:30Z")


def test_what_cleaning_leaves_is_counted_by_kind() -> None:
    """Over all experiments."""
    cleaned = Cleaned()
    for experiment in (A, B):
        cleaned.count(
            [Thing("replica", experiment, Did("s", "n"), A), Thing("file", experiment, Did("s", "n"))]
        )
    assert counts_left(cleaned) == {"file": 2, "replica": 2}
    assert counts_left(Cleaned()) == {}


def test_the_matrix_shows_every_pair() -> None:
    """Rows are sources; a cell is the seconds or the state; nothing is on the diagonal."""
    text = io.StringIO()
    states = replace(GOOD, pairs=(*GOOD.pairs[:4], Pair(C, A, State.STUCK), Pair(C, B, State.REPLICATING)))
    Console(file=text, width=80).print(matrix(states))
    rows = [line.split() for line in text.getvalue().splitlines()]
    assert rows == [
        ["from", "\\", "to", "1", "2", "3"],
        ["1", A, "·", "12s", "skipped"],
        ["2", B, "15s", "·", "skipped"],
        ["3", C, "stuck", "…", "·"],
    ]


def test_details_say_what_the_matrix_cannot() -> None:
    """Why a pair is not ok, and that bytes came from elsewhere."""
    result = replace(GOOD, pairs=(Pair(A, B, State.OK, "", 1.0, C), Pair(B, A, State.STUCK, "no space")))
    assert list(details(result)) == [
        f"{A} > {B}: ok, copied from {C}, which had it by then",
        f"{B} > {A}: stuck: no space",
    ]


def test_json_has_all_of_it() -> None:
    """Programs read pairs with state, reason and duration, and who was left out."""
    told = json.loads(json.dumps(as_json(GOOD)))
    assert (told["schema"], told["exit_code"], told["left"]) == ("fdr-noise/1", 0, {})
    assert told["counts"] == {"ok": 2, "stuck": 0, "failed": 0, "replicating": 0, "skipped": 4}
    assert told["pairs"][0] == {
        "src": A, "dst": B, "state": "ok", "reason": "", "duration_s": 12.0, "copied_from": A,
    }  # fmt: skip
    assert told["rses"][2] == {"rse": C, "source": OFF, "destination": OFF, "put_s": None}
    assert (told["duration_s"], told["cleaning_s"]) == (20, 30)
    assert told["expires_at"] == "1970-01-01T01:17:30Z"
