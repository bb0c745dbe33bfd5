"""How many datasets were made and closed, how rules stand, and how long they took. Pure."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fdr.metrics import RuleCounts
from fdr.model import Ending, Kind
from fdr.percentiles import Slice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fdr.model import Intention, Outcome, RuleSeen

STEPS = {"create": Kind.DATASET, "close": Kind.CLOSE, "rule": Kind.RULE}
ADDED = ("ok", "replicating", "stuck", "cancelled")
STANDING = {"OK": "ok", "STUCK": "stuck", "SUSPENDED": "stuck", "WAITING_APPROVAL": "stuck"}


@dataclass(slots=True)
class _Seen:
    """Where a rule stands, and since when it is OK with the most locks it was seen with."""

    state: str = ""
    locks: int = 0
    ok_at: float | None = None

    def take(self, seen: RuleSeen) -> None:
        if seen.state == "OK" and (self.state != "OK" or seen.locks_ok > self.locks):
            self.ok_at = seen.at if seen.locks_ok else None
        self.locks = max(self.locks, seen.locks_ok)
        self.state = seen.state


class Rules:
    """Takes what is done to datasets and rules, and what Rucio tells of rules."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._experiment: dict[tuple[Kind, int], str] = {}
        self._ending: dict[tuple[Kind, int], Ending] = {}
        self._cancelled: set[int] = set()
        self._begun: dict[int, float] = {}
        self._rule_id: dict[int, str] = {}
        self._seen: dict[str, _Seen] = defaultdict(_Seen)
        self._add_s: dict[int, float] = {}

    def intend(self, intention: Intention) -> None:
        """Take the intention to create or close a dataset or to add a rule."""
        self._experiment.setdefault((intention.kind, intention.action), intention.experiment)

    def end(self, outcome: Outcome) -> None:
        """Take its outcome; one whose intention is not known is not counted."""
        if outcome.step == "cancel" and outcome.ending is Ending.OK:
            self._cancelled.add(outcome.action)
        kind = STEPS.get(outcome.step)
        if kind is None or (kind, outcome.action) not in self._experiment:
            return
        self._ending[kind, outcome.action] = outcome.ending
        self._cancelled.discard(outcome.action)  # it was done again
        if kind is not Kind.RULE:
            return
        self._begun.setdefault(outcome.action, outcome.begun_at)
        if outcome.ending is Ending.OK:
            self._rule_id[outcome.action] = outcome.detail
            self._add_s[outcome.action] = outcome.ended_at - outcome.begun_at

    def see(self, seen: RuleSeen) -> None:
        """Take what Rucio told of a rule."""
        self._seen[seen.rule_id].take(seen)

    def datasets(self, kind: Kind) -> Counter[str]:
        """Return how many datasets were created (DATASET) or closed (CLOSE), by experiment."""
        return Counter(
            self._experiment[key]
            for key, ending in self._ending.items()
            if key[0] is kind and ending is Ending.OK
        )

    def counts(self) -> dict[str, RuleCounts]:
        """Return how the rules stand, by experiment."""
        tally: dict[str, Counter[str]] = defaultdict(Counter)
        for (kind, action), experiment in self._experiment.items():
            if kind is Kind.RULE:
                tally[experiment][self._standing(action)] += 1
        return {
            experiment: RuleCounts(added=sum(counts[standing] for standing in ADDED), **counts)
            for experiment, counts in tally.items()
        }

    def _standing(self, action: int) -> str:
        ending = self._ending.get((Kind.RULE, action), Ending.UNKNOWN)
        if ending is not Ending.OK:
            return ending.value
        if action in self._cancelled:
            return "cancelled"
        seen = self._seen.get(self._rule_id[action])
        return STANDING.get(seen.state, "replicating") if seen else "replicating"

    def slices(self) -> Iterator[Slice]:
        """Return the seconds to add a rule, and from the start of adding to OK, by experiment.

        A rule is OK when it was first seen OK with the most locks it ever had, at least one: a rule on an
        empty dataset is OK at once, which says nothing.
        """
        added: dict[str, array[float]] = defaultdict(lambda: array("d"))
        to_ok: dict[str, array[float]] = defaultdict(lambda: array("d"))
        for action, rule_id in self._rule_id.items():
            experiment = self._experiment[Kind.RULE, action]
            added[experiment].append(self._add_s[action])
            seen = self._seen.get(rule_id)
            if seen is not None and seen.state == "OK" and seen.ok_at is not None:
                to_ok[experiment].append(seen.ok_at - self._begun[action])
        for phase, found in (("rule.add", added), ("rule.time_to_ok", to_ok)):
            for experiment, seconds in found.items():
                yield Slice(phase, (("experiment", experiment),), seconds)
