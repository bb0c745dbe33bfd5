"""The datasets that are being filled: what their uploads, closing and rules wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from fdr.model import Rule, When


class Gate:
    """Something that comes true or false once, and that many may wait for."""

    def __init__(self) -> None:
        """Begin undecided."""
        self._decided = asyncio.Event()
        self._is_true = False

    def decide(self, is_true: bool) -> None:
        """Let those who wait go on, with the answer."""
        self._is_true = is_true
        self._decided.set()

    async def wait(self) -> bool:
        """Wait for the answer and return it."""
        await self._decided.wait()
        return self._is_true


@dataclass(slots=True)
class OpenDataset:
    """One dataset between its first action and its last.

    ``created`` and ``closed`` come true when Rucio said so and false when it did not; ``ruled`` is set once
    the rules that it gets at its creation have ended, well or not. ``uploads`` counts those begun and not
    ended, ``early_rules_left`` such rules and ``actions_left`` all actions but uploads that have yet to end.
    ``is_left`` says that uploads were left for a later session, for which it is to stay open.
    """

    actions_left: int
    early_rules_left: int
    created: Gate = field(default_factory=Gate)
    closed: Gate = field(default_factory=Gate)
    ruled: asyncio.Event = field(default_factory=asyncio.Event)
    uploads: int = 0
    drained: asyncio.Event = field(default_factory=asyncio.Event)
    is_left: bool = False

    def __post_init__(self) -> None:
        """Nobody waits for uploads that have not begun, nor for rules that there are not."""
        self.drained.set()
        if not self.early_rules_left:
            self.ruled.set()

    def end_early_rule(self) -> None:
        """Count out a rule that is added at creation."""
        self.early_rules_left -= 1
        if not self.early_rules_left:
            self.ruled.set()

    def begin_upload(self) -> None:
        """Count an upload in."""
        self.uploads += 1
        self.drained.clear()

    def end_upload(self) -> None:
        """Count an upload out."""
        self.uploads -= 1
        if not self.uploads:
            self.drained.set()


class OpenDatasets:
    """The open datasets by experiment and number; as many as the plan has open at once."""

    def __init__(self) -> None:
        """Begin with none."""
        self._open: dict[tuple[str, int], OpenDataset] = {}

    def begin(self, experiment: str, dataset: int, rules: Sequence[Rule]) -> OpenDataset:
        """Return the dataset's state, made when this is its first action.

        ``rules`` are those it will get; it is forgotten once created, closed and ruled.
        """
        key = experiment, dataset
        if key not in self._open:
            early = sum(rule.when is When.AT_CREATION for rule in rules)
            self._open[key] = OpenDataset(2 + len(rules), early)
        return self._open[key]

    def end_action(self, experiment: str, dataset: int) -> None:
        """Count out an action that is not an upload."""
        state = self._open[experiment, dataset]
        state.actions_left -= 1
        if not state.actions_left:
            del self._open[experiment, dataset]

    def __len__(self) -> int:
        """Return how many are open."""
        return len(self._open)
