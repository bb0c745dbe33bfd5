"""The record of what a probe may leave: on disk before anything is made, gone when all of it is."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fdr.errors import UsageError
from fdr.probe.plan import Place
from fdr.rundir import RUN_ID, writing

SCHEMA = "fdr-probe-record/1"
NAME = re.compile(rf"probe-({RUN_ID.pattern})\.(json|new)")


@dataclass(frozen=True, slots=True)
class Traces:
    """Files, each in a directory that is its probe's alone, and jobs, each with the URL of its FTS."""

    places: tuple[Place, ...] = ()
    jobs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """The file in which a probe writes down what it may leave at a lake."""

    path: Path
    probe: str
    lake: str

    def keep(self, traces: Traces) -> None:
        """Write down what there may be, whole and on the disk when this returns; raises UsageError."""
        told = {
            "schema": SCHEMA,
            "probe": self.probe,
            "lake": self.lake,
            "jobs": [{"fts": fts, "id": job} for fts, job in traces.jobs],
            "files": [{"directory": place.directory, "name": place.name} for place in traces.places],
        }
        half = self.path.with_suffix(".new")
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with half.open("w") as file:
                json.dump(told, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            half.replace(self.path)

    def read(self) -> Traces:
        """Return what was written down; raises UsageError where that cannot be, or is not of this probe."""
        try:
            told = json.loads(self.path.read_text())
            places = tuple(Place(str(one["directory"]), str(one["name"])) for one in told["files"])
            jobs = tuple((str(one["fts"]), str(one["id"])) for one in told["jobs"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{self.path}: is no record of a probe: remove it by hand") from error
        if strange := [place.url for place in places if not place.is_of(self.probe)]:
            raise UsageError(f"{self.path}: {strange[0]} is not of this probe: remove the record by hand")
        return Traces(places, jobs)

    def forget(self) -> None:
        """Remove the file: nothing is left; raises UsageError."""
        with writing(self.path):
            self.path.unlink(missing_ok=True)


def record_of(root: Path, probe: str, lake: str) -> Record:
    """Return the record of a probe with runs in this directory."""
    return Record(root / f"probe-{probe}.json", probe, lake)


def earlier_records(root: Path, lake: str) -> Iterator[Record]:
    """Yield the records that earlier probes of a lake have left in a directory, the latest first.

    One that was never finished is removed: nothing had been made yet. So there must be no other probe.
    """
    if not root.is_dir():
        return
    for path in sorted(root.iterdir(), reverse=True):
        named = NAME.fullmatch(path.name)
        if named and named[2] == "new":
            path.unlink(missing_ok=True)
        elif named and path.is_file() and _lake_of(path) == lake:
            yield Record(path, named[1], lake)


def _lake_of(path: Path) -> str | None:
    try:
        told = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(told, dict) or told.get("schema") != SCHEMA:
        return None
    lake = told.get("lake")
    return lake if isinstance(lake, str) else None
