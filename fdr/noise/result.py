"""What a pass of noise came to. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from fdr.cleaned import Cleaned
from fdr.errors import ExitCode
from fdr.noise.pair import Pair, Part, State
from fdr.noise.recipe import Recipe

BAD = frozenset({State.FAILED, State.STUCK})


@dataclass(frozen=True, slots=True)
class Result:
    """A pass of noise that is over; times are Unix seconds.

    ``run`` is empty where nothing could be tried, and then there is no run directory. ``put_s`` says how long
    the upload to an RSE took. What became of the pairs was known at ``known_at``; cleaning came after.
    ``left`` counts what was still there then, by kind of thing, None where it was not found out, and
    ``uncleaned`` says why.
    """

    lake: str
    recipe: Recipe
    parts: tuple[Part, ...]
    pairs: tuple[Pair, ...]
    started_at: float
    known_at: float
    ended_at: float
    run: str = ""
    run_dir: str = ""
    put_s: Mapping[str, float] = field(default_factory=dict)
    was_interrupted: bool = False
    left: Mapping[str, int] | None = None
    uncleaned: str = ""

    @property
    def counts(self) -> Counter[State]:
        """How many pairs there are in every state."""
        return Counter(pair.state for pair in self.pairs)

    @property
    def tried(self) -> int:
        """How many pairs were not skipped."""
        return len(self.pairs) - self.counts[State.SKIPPED]

    @property
    def exit_code(self) -> ExitCode:
        """What a command that made this pass ends with: nothing tried is no success."""
        states = self.counts
        if self.was_interrupted:
            return ExitCode.INTERRUPTED
        if any(states[state] for state in BAD):
            return ExitCode.OBJECTIVE_FAILED
        if states[State.REPLICATING] or not states[State.OK]:
            return ExitCode.INCONCLUSIVE
        return ExitCode.PASSED


def counts_left(cleaned: Cleaned) -> dict[str, int]:
    """Return how many things of each kind cleaning has left."""
    left: Counter[str] = Counter()
    for (_, kind), count in cleaned.there.items():
        left[kind] += count
    return {kind: left[kind] for kind in sorted(left) if left[kind]}
