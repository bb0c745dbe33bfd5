"""Tell what a probe came to: one line, two matrices, JSON. Pure but for the library that draws tables."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from fdr.probe.asked import Part
from fdr.probe.plan import Row
from fdr.probe.result import STEPS, Copied, Left, Result, State, Step
from fdr.units import format_duration, format_size

SCHEMA = "fdr-probe/1"
TOLD_IN_THE_LINE = 3
LONGEST_REASON = 120
LEFT = {"file": "files", "directory": "directories", "job": "FTS jobs"}


def summary(result: Result) -> str:
    """Return a probe in one line."""
    told = []
    if Part.STORAGES in result.asked.parts:
        told.append(f"storages: {_count(result.step_counts)} steps ok{_rest(result.step_counts)}")
    if Part.TRANSFERS in result.asked.parts:
        told.append(f"transfers: {_count(result.copy_counts)} ok{_rest(result.copy_counts)}")
    took = format_duration(result.ended_at - result.started_at)
    parts = [f"probe {result.probe}: {'; '.join(told)}; {took}", *_troubles(result)]
    if result.was_interrupted:
        parts.append("interrupted")
    return "; ".join([*parts, *_left(result)])


def _count(counts: Counter[State]) -> str:
    return f"{counts[State.OK]} of {counts[State.OK] + counts[State.FAILED]}"


def _rest(counts: Counter[State]) -> str:
    return "".join(f", {counts[state]} {state}" for state in (State.FAILED, State.SKIPPED) if counts[state])


def _troubles(result: Result) -> Iterator[str]:
    """Yield why RSEs were left out, then the first of what was tried and failed; what is alike once."""
    for site in result.sites:
        if why := site.unavailable("read", "write", "delete"):
            yield why
    alike: dict[str, list[Copied]] = defaultdict(list)
    for copied in result.copies:
        if copied.state is State.FAILED:
            alike[copied.message].append(copied)
    bad = list(_failed_steps(result))
    for first, *rest in alike.values():
        more = f" and {len(rest)} more" if rest else ""
        bad.append(f"{first.copy.src} > {first.copy.dst}{more} failed: {first.message}")
    yield from map(_short, bad[:TOLD_IN_THE_LINE])
    if len(bad) > TOLD_IN_THE_LINE:
        yield f"and {len(bad) - TOLD_IN_THE_LINE} other failures"


def _left(result: Result) -> Iterator[str]:
    if result.earlier:
        word = "probe" if result.earlier == 1 else "probes"
        still = f", but for {_things(result.earlier_left)}" if result.earlier_left else ""
        yield f"took away what {result.earlier} earlier {word} left{still}"
    if result.left:
        yield f"may be left for the next probe: {_things(result.left)} ({result.record})"
    else:
        yield "nothing left"


def _things(left: Left) -> str:
    return ", ".join(f"{count} {LEFT[kind]}" for kind, count in left.counts.items() if count)


def matrices(result: Result) -> Iterator[tuple[str, Table]]:
    """Yield each matrix with what it is of."""
    size = format_size(result.asked.size_bytes)
    if result.rows:
        yield f"storages: {size} files, seconds each step took", _storages(result)
    if result.copies:
        yield f"transfers: {size} files by FTS, seconds from submission to its end", _transfers(result)


def _storages(result: Result) -> Table:
    """Return a table with a row for every protocol of every RSE and a column for every step."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("RSE")
    table.add_column("protocol")
    for step in STEPS:
        table.add_column(step, justify="right")
    for tried in result.rows:
        cells = (_cell(tried.steps[step]) for step in STEPS)
        table.add_row(tried.row.rse, _protocol(result, tried.row) or "-", *cells)
    return table


def _transfers(result: Result) -> Table:
    """Return a table with a row for every source and a column for every destination."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("from \\ to")
    names = [site.rse for site in result.sites]
    for number, _ in enumerate(names, 1):
        table.add_column(str(number), justify="right")
    found = {(one.copy.src, one.copy.dst): one for one in result.copies}
    for number, src in enumerate(names, 1):
        table.add_row(f"{number} {src}", *(_cell(found.get((src, dst))) for dst in names))
    return table


def _cell(one: Step | Copied | None) -> Text:
    if one is None:
        return Text("·", style="dim")
    if one.state is State.OK:
        return Text(format_duration(one.duration_s or 0.0), style="green")
    return Text("failed", style="bold red") if one.state is State.FAILED else Text("skipped", style="dim")


def _protocol(result: Result, row: Row) -> str:
    """Return a protocol by its scheme, or by all of its URL where the RSE has several with this scheme."""
    alike = [one for one in result.rows if (one.row.rse, one.row.scheme) == (row.rse, row.scheme)]
    return row.scheme if len(alike) < 2 else row.endpoint


def details(result: Result) -> Iterator[str]:
    """Yield a line for everything that is not ok, and for all that is left."""
    yield from _failed_steps(result)
    for copied in result.copies:
        if copied.state is State.FAILED:
            yield f"{copied.copy.src} > {copied.copy.dst}: failed: {copied.message}"
    for tried in result.rows:
        skipped = Counter(step.message for step in tried.steps.values() if step.state is State.SKIPPED)
        for why in skipped:
            names = [
                name
                for name in STEPS
                if tried.steps[name].state is State.SKIPPED and tried.steps[name].message == why
            ]
            yield f"{_name(result, tried.row)}: {', '.join(names)} skipped: {why}"
    for copied in result.copies:
        if copied.state is State.SKIPPED:
            yield f"{copied.copy.src} > {copied.copy.dst}: skipped: {copied.message}"
    for left in (result.left, result.earlier_left):
        for things in (left.files, left.directories, left.jobs):
            yield from (f"may be left: {what}: {why}" for what, why in things.items())


def _failed_steps(result: Result) -> Iterator[str]:
    for tried in result.rows:
        if tried.row.missing:
            yield f"{tried.row.rse} {tried.row.missing}"
            continue
        for name in STEPS:
            step = tried.steps[name]
            if step.state is State.FAILED:
                yield f"{_name(result, tried.row)}: {name} failed: {step.reason}: {step.message}"


def _name(result: Result, row: Row) -> str:
    return f"{row.rse} {_protocol(result, row)}".strip()


def as_json(result: Result) -> dict[str, Any]:
    """Return a probe as plain values."""
    asked = result.asked
    return {
        "schema": SCHEMA,
        "probe": result.probe,
        "lake": result.lake,
        "expression": asked.expression if asked.scenario_rses is None else None,
        "account": asked.account or None,
        "parts": sorted(asked.parts),
        "file_bytes": asked.size_bytes,
        "started_at": _moment(result.started_at),
        "ended_at": _moment(result.ended_at),
        "duration_s": round(result.ended_at - result.started_at, 3),
        "was_interrupted": result.was_interrupted,
        "exit_code": int(result.exit_code),
        "counts": {
            "steps": {state.value: result.step_counts[state] for state in State},
            "transfers": {state.value: result.copy_counts[state] for state in State},
        },
        "rses": [
            {
                "rse": site.rse,
                "missing": site.missing or None,
                "unavailable": sorted(site.off),
                "fts": site.fts or None,
            }
            for site in result.sites
        ],
        "storages": [
            {
                "rse": tried.row.rse,
                "protocol": tried.row.scheme or None,
                "endpoint": tried.row.endpoint or None,
                "steps": {name: _outcome(tried.steps[name]) for name in STEPS},
            }
            for tried in result.rows
        ],
        "transfers": [
            {
                "src": one.copy.src,
                "dst": one.copy.dst,
                "source": one.copy.source or None,
                "destination": one.copy.destination or None,
                "fts": one.copy.fts or None,
                "job": one.job or None,
                "verify_checksum": one.copy.verify,
                **_outcome(one),
                "started_at": f"{one.started}Z" if one.started else None,
                "finished_at": f"{one.finished}Z" if one.finished else None,
            }
            for one in result.copies
        ],
        "left": _left_values(result.left),
        "record": result.record or None,
        "earlier": {"probes": result.earlier, "left": _left_values(result.earlier_left)},
    }


def _outcome(one: Step | Copied) -> dict[str, Any]:
    seconds = None if one.duration_s is None else round(one.duration_s, 3)
    return {"state": one.state.value, "duration_s": seconds, "reason": one.reason, "message": one.message}


def _left_values(left: Left) -> dict[str, dict[str, str]]:
    return {"files": dict(left.files), "directories": dict(left.directories), "jobs": dict(left.jobs)}


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 1] + "…"


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
