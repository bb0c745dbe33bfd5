"""The runs that noise keeps: which they are, and which may go."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from fdr.errors import UsageError
from fdr.journal.reader import read_journal
from fdr.model import CLEANED
from fdr.noise.tell import SCHEMA
from fdr.rundir import RUN_ID, RunDir, writing

MARK = "noise.json"


def mark(directory: RunDir, value: dict[str, Any]) -> None:
    """Mark a run as one of noise, and keep with it what it came to; raises UsageError."""
    path = directory.path / MARK
    half = path.with_suffix(".new")
    with writing(path):
        half.write_text(json.dumps(value, indent=2) + "\n")
        half.replace(path)


def noise_runs(root: Path) -> list[RunDir]:
    """Return the runs of noise in a directory, the oldest first: those that noise itself has marked."""
    if not root.is_dir():
        return []
    return [
        RunDir(path)
        for path in sorted(root.iterdir())
        if RUN_ID.fullmatch(path.name) and path.is_dir() and not path.is_symlink() and _is_marked(path)
    ]


def unclean_runs(root: Path) -> list[RunDir]:
    """Return the runs of noise that are over and may have left something on their lake, the newest first."""
    return [run for run in reversed(noise_runs(root)) if not run.is_held and _may_have_left(run)]


def prune(root: Path, keep: int) -> list[RunDir]:
    """Remove the oldest runs of noise but for so many; return them. None that is alive goes."""
    gone = []
    for run in noise_runs(root)[: -keep or None]:
        try:
            with run.held():
                shutil.rmtree(run.path)
        except UsageError:  # alive
            continue
        gone.append(run)
    return gone


def _is_marked(path: Path) -> bool:
    try:
        told = json.loads((path / MARK).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and told.get("schema") == SCHEMA


def _may_have_left(run: RunDir) -> bool:
    if not run.journal.is_file():
        return False
    try:
        with read_journal(run.journal) as reader:
            return all(note.kind != CLEANED for note in reader.notes())
    except UsageError:  # a journal that cannot be read says nothing of what it left
        return False
