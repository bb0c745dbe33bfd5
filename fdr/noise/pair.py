"""What a pass of noise comes to between two RSEs, and what part an RSE can take in it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How it went from one RSE to another."""

    OK = "ok"
    STUCK = "stuck"
    FAILED = "failed"
    REPLICATING = "replicating"  # when the wait was over
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Part:
    """The part that an RSE can take: any, where nothing stands against it.

    ``no_source`` and ``no_destination`` say why nothing may be copied from it or to it, ``down`` how a small
    file could not be put there though it may be.
    """

    rse: str
    no_source: str = ""
    no_destination: str = ""
    down: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """What became of the rule from one RSE to another.

    ``duration_s`` is from when the rule was asked for until it was seen OK. ``copied_from`` is the RSE that
    the bytes came from, where Rucio told: with one file an RSE that may be one that had its copy earlier.
    """

    src: str
    dst: str
    state: State
    reason: str = ""
    duration_s: float | None = None
    copied_from: str = ""


def untried(src: Part, dst: Part) -> Pair | None:
    """Return the pair of two RSEs that is not tried, None where it is."""
    skipped = src.no_source or dst.no_destination
    if skipped:
        rse = src.rse if src.no_source else dst.rse
        return Pair(src.rse, dst.rse, State.SKIPPED, f"{rse} {skipped}")
    for part in (src, dst):
        if part.down:
            return Pair(src.rse, dst.rse, State.FAILED, f"{part.rse} cannot be written: {part.down}")
    return None
