"""Tell what a pass of noise came to: one line, a matrix, JSON. Pure but for the library that draws tables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from fdr.noise.pair import Pair, State
from fdr.noise.result import Result
from fdr.units import format_duration, format_size

SCHEMA = "fdr-noise/1"
TOLD_IN_THE_LINE = 2
LONGEST_REASON = 120
WORDS = {
    State.OK: "ok",
    State.STUCK: "stuck",
    State.FAILED: "failed",
    State.REPLICATING: "still replicating",
    State.SKIPPED: "skipped",
}
LEFT = {
    "rule": "rules",
    "dataset": "datasets",
    "file": "files",
    "replica": "replicas",
    "stored": "copies",
    "unseen": "copies at storages that do not answer",
}
MARKS = {
    State.STUCK: ("stuck", "bold red"),
    State.FAILED: ("failed", "bold red"),
    State.REPLICATING: ("…", "bold yellow"),
    State.SKIPPED: ("skipped", "dim"),
}


def summary(result: Result) -> str:
    """Return a pass in one line."""
    counts = result.counts
    told = f"{counts[State.OK]} of {result.tried} pairs ok"
    told += "".join(
        f", {counts[state]} {WORDS[state]}" for state in State if state is not State.OK and counts[state]
    )
    took = format_duration(result.known_at - result.started_at)
    parts = [f"noise {result.run or 'on ' + result.lake}: {told}, {took}", *_troubles(result)]
    if result.was_interrupted:
        parts.append("interrupted")
    return "; ".join([*parts, *_left(result)])


def _troubles(result: Result) -> Iterator[str]:
    """Yield why RSEs were left out, then the first pairs that were tried and not ok."""
    for part in result.parts:
        if why := part.no_source or part.no_destination:
            role = "" if part.no_destination else " as a source"
            yield f"skipped {part.rse}{role}: {why}"
        elif part.down:
            yield _short(f"{part.rse} cannot be written: {part.down}")
    down = {part.rse for part in result.parts if part.down}
    bad = [
        pair
        for pair in result.pairs
        if pair.state not in {State.OK, State.SKIPPED} and not {pair.src, pair.dst} & down
    ]
    yield from (_short(_one(pair)) for pair in bad[:TOLD_IN_THE_LINE])
    if len(bad) > TOLD_IN_THE_LINE:
        yield f"and {len(bad) - TOLD_IN_THE_LINE} more pairs"


def _left(result: Result) -> Iterator[str]:
    if result.uncleaned:
        yield _short(f"not cleaned ({result.uncleaned}), expires by {_moment(_expires_at(result))}")
    elif result.left:
        things = ", ".join(f"{count} {LEFT[kind]}" for kind, count in result.left.items())
        yield f"left for Rucio's daemons: {things}"
    elif result.left is not None:
        yield "nothing left"


def matrix(result: Result) -> Table:
    """Return a table with a row for every source and a column for every destination."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("from \\ to")
    names = [part.rse for part in result.parts]
    for number, _ in enumerate(names, 1):
        table.add_column(str(number), justify="right")
    found = {(pair.src, pair.dst): pair for pair in result.pairs}
    for number, src in enumerate(names, 1):
        table.add_row(f"{number} {src}", *(_cell(found.get((src, dst))) for dst in names))
    return table


def _cell(pair: Pair | None) -> Text:
    if pair is None:
        return Text("·", style="dim")
    if pair.state is State.OK:
        return Text(format_duration(pair.duration_s or 0.0), style="green")
    return Text(*MARKS[pair.state])


def details(result: Result) -> Iterator[str]:
    """Yield a line for every pair that is not ok, and for every one whose bytes came from elsewhere."""
    for pair in result.pairs:
        if pair.state is not State.OK:
            yield _one(pair)
        elif pair.copied_from not in {"", pair.src}:
            yield f"{pair.src} > {pair.dst}: ok, copied from {pair.copied_from}, which had it by then"


def _one(pair: Pair) -> str:
    return f"{pair.src} > {pair.dst}: {WORDS[pair.state]}" + (f": {pair.reason}" if pair.reason else "")


def as_json(result: Result) -> dict[str, Any]:
    """Return a pass as plain values."""
    recipe = result.recipe
    return {
        "schema": SCHEMA,
        "run": result.run or None,
        "run_dir": result.run_dir or None,
        "lake": result.lake,
        "expression": recipe.expression,
        "account": recipe.account,
        "scope": recipe.scope,
        "mesh": recipe.mesh,
        "file_bytes": recipe.size_bytes,
        "started_at": _moment(result.started_at),
        "ended_at": _moment(result.ended_at),
        "expires_at": _moment(_expires_at(result)),
        "duration_s": round(result.known_at - result.started_at, 3),
        "cleaning_s": round(result.ended_at - result.known_at, 3),
        "exit_code": int(result.exit_code),
        "counts": {state.value: result.counts[state] for state in State},
        "rses": [
            {
                "rse": part.rse,
                "source": part.no_source or part.down or None,
                "destination": part.no_destination or part.down or None,
                "put_s": _rounded(result.put_s.get(part.rse)),
            }
            for part in result.parts
        ],
        "pairs": [
            {
                "src": pair.src,
                "dst": pair.dst,
                "state": pair.state.value,
                "reason": pair.reason,
                "duration_s": _rounded(pair.duration_s),
                "copied_from": pair.copied_from or None,
            }
            for pair in result.pairs
        ],
        "left": None if result.left is None else dict(result.left),
        "uncleaned": result.uncleaned,
    }


def heading(result: Result) -> str:
    """Return what the matrix is of."""
    size = format_size(result.recipe.size_bytes)
    return f"{size} files as {result.recipe.account}, seconds from the rule to OK"


def _expires_at(result: Result) -> float:
    return result.ended_at + result.recipe.lifetime_s


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 1] + "…"


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
