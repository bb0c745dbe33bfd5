"""What cleaning a run did, and what remains of the run. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from fdr.model import Did

EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing of a run that is there.

    Kinds: ``rule`` and ``dataset`` in Rucio, ``file`` that Rucio knows, ``replica`` that it has on record
    at an RSE, ``stored`` bytes at an RSE, ``unseen`` where an RSE could not tell. ``rse`` is the expression
    of a rule; ``detail`` the id of a rule, the state of a replica, and why something is unseen.
    """

    kind: str
    experiment: str
    did: Did
    rse: str = ""
    size_bytes: int = 0
    detail: str = ""


@dataclass(slots=True)
class Cleaned:
    """Counts of what there is, by experiment and kind of thing, and of what was done; grows with neither.

    ``bytes`` are those stored, by experiment; ``waiting_at`` counts, by RSE, replicas that
    Rucio was asked to delete and has not. ``kept`` are datasets that
    are left alone, with the reason; ``problems`` what Rucio or a storage refused, each with how often.
    ``asked_at`` is when Rucio was asked to delete the run, in Unix seconds.
    """

    there: Counter[tuple[str, str]] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    examples: dict[tuple[str, str], list[Thing]] = field(default_factory=dict)
    waiting_at: Counter[str] = field(default_factory=Counter)
    unseen_at: dict[str, str] = field(default_factory=dict)
    asked_at: float | None = None
    datasets_expired: int = 0
    replicas_held: int = 0
    dark_removed: int = 0
    kept: dict[Did, str] = field(default_factory=dict)
    problems: Counter[str] = field(default_factory=Counter)

    @property
    def nothing_there(self) -> bool:
        """Whether nothing of the run is there, and every place where something could be was looked at."""
        return not self.there.total()

    def count(self, things: Iterable[Thing], kept: Collection[Did] = ()) -> None:
        """Count what is there; ``kept`` are files that wait for nothing."""
        for thing in things:
            key = thing.experiment, thing.kind
            self.there[key] += 1
            examples = self.examples.setdefault(key, [])
            if len(examples) < EXAMPLES:
                examples.append(thing)
            if thing.kind == "stored":
                self.bytes[thing.experiment] += thing.size_bytes
            elif thing.kind == "replica" and thing.did not in kept:
                self.waiting_at[thing.rse] += 1
            elif thing.kind == "unseen":
                self.unseen_at.setdefault(thing.rse, thing.detail)


def dark(things: Iterable[Thing]) -> list[Thing]:
    """Return what is stored at RSEs where Rucio has no replica of it."""
    things = list(things)
    known = {(thing.did, thing.rse) for thing in things if thing.kind == "replica"}
    return [thing for thing in things if thing.kind == "stored" and (thing.did, thing.rse) not in known]
