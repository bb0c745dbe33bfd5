"""Show what there is of a run and what cleaning it did: a table for people, JSON for scripts. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fdr.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fdr.cleaned import Cleaned, Thing

SCHEMA = "fdr-clean/1"
KINDS = ("rule", "dataset", "file", "replica", "stored", "unseen")
HEADINGS = ("rules", "datasets", "files", "replicas", "stored", "unseen")
COLUMN = 10
KEPT_TOLD = 10


def thing_as_json(thing: Thing) -> dict[str, Any]:
    """Return one thing as plain values."""
    return {
        "kind": thing.kind,
        "experiment": thing.experiment,
        "did": str(thing.did),
        "rse": thing.rse,
        "size_bytes": thing.size_bytes,
        "detail": thing.detail,
    }


def cleaned_as_json(run: str, cleaned: Cleaned, *, dry_run: bool) -> dict[str, Any]:
    """Return what there is of a run, and what was done to it, as plain values."""
    return {
        "schema": SCHEMA,
        "run": run,
        "dry_run": dry_run,
        "clean": cleaned.nothing_there,
        "asked_at": _moment(cleaned.asked_at),
        "there": {name: _counts(cleaned, name) for name in _experiments(cleaned)},
        "waiting_at": {} if dry_run else dict(sorted(cleaned.waiting_at.items())),
        "datasets_expired": cleaned.datasets_expired,
        "replicas_held": cleaned.replicas_held,
        "dark_removed": cleaned.dark_removed,
        "kept": {str(did): why for did, why in cleaned.kept.items()},
        "problems": dict(cleaned.problems),
    }


def survey_lines(run: str, cleaned: Cleaned) -> Iterator[str]:
    """Say what cleaning a run would remove, with the first names of each kind."""
    if cleaned.nothing_there:
        yield f"{run}: nothing of this run is left"
        return
    yield f"{run}: would be removed"
    yield from _table(cleaned)
    for (experiment, kind), things in sorted(cleaned.examples.items()):
        for thing in things:
            at = f" at {thing.rse}" if thing.rse else ""
            yield f"  {experiment} {kind}: {thing.did}{at}{_detail(thing)}"
        more = cleaned.there[experiment, kind] - len(things)
        if more:
            yield f"  {experiment} {kind}: … and {more} more"
    yield from _kept(cleaned)


def cleaned_lines(run: str, directory: Path, cleaned: Cleaned) -> Iterator[str]:
    """Say what cleaning a run has come to, and how to go on where something is left."""
    if cleaned.dark_removed:
        yield f"removed {cleaned.dark_removed} files from storages that Rucio had no replica of"
    if cleaned.nothing_there:
        yield f"{run}: nothing of this run is left: 0 rules, 0 datasets, 0 files, 0 replicas, 0 bytes stored"
        return
    yield f"{run}: this remains"
    yield from _table(cleaned)
    waiting = ", ".join(f"{count} at {rse}" for rse, count in sorted(cleaned.waiting_at.items()))
    if waiting:
        yield f"replicas that wait for Rucio's reaper since {_moment(cleaned.asked_at)}: {waiting}"
    yield from _kept(cleaned)
    for problem, times in cleaned.problems.most_common():
        yield f"refused: {problem}" + (f" ({times} times)" if times > 1 else "")
    yield f"go on with: fdr clean {directory}"


def _table(cleaned: Cleaned) -> Iterator[str]:
    width = max(len(name) for name in ("experiment", *_experiments(cleaned)))
    yield "  " + "experiment".ljust(width) + "".join(heading.rjust(COLUMN) for heading in HEADINGS)
    for name in _experiments(cleaned):
        counts = "".join(str(cleaned.there[name, kind]).rjust(COLUMN) for kind in KINDS)
        size = f"  ({format_size(cleaned.bytes[name])})" if cleaned.bytes[name] else ""
        yield "  " + name.ljust(width) + counts + size
    for rse, why in sorted(cleaned.unseen_at.items()):
        yield f"  unseen at {rse}: {why}"


def _kept(cleaned: Cleaned) -> Iterator[str]:
    for did, why in list(cleaned.kept.items())[:KEPT_TOLD]:
        yield f"kept with all that is in it: {did}: {why}"
    if len(cleaned.kept) > KEPT_TOLD:
        yield f"kept: … and {len(cleaned.kept) - KEPT_TOLD} more datasets"


def _counts(cleaned: Cleaned, experiment: str) -> dict[str, int]:
    counts = {heading: cleaned.there[experiment, kind] for heading, kind in zip(HEADINGS, KINDS, strict=True)}
    return {**counts, "stored_bytes": cleaned.bytes[experiment]}


def _experiments(cleaned: Cleaned) -> list[str]:
    return sorted({experiment for experiment, _ in cleaned.there})


def _detail(thing: Thing) -> str:
    return f" ({thing.detail})" if thing.detail else ""


def _moment(at: float | None) -> str | None:
    return None if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
