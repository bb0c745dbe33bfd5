"""The datasets that are being filled: what their uploads, closing and rules wait for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


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

    ``created`` and ``closed`` come true when Rucio said so and false when it did not. ``uploads`` counts
    those begun and not ended; ``actions_left`` the other actions that still have to end.
    """

    actions_left: int
    created: Gate = field(default_factory=Gate)
    closed: Gate = field(default_factory=Gate)
    uploads: int = 0
    drained: asyncio.Event = field(default_factory=asyncio.Event)

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

    def begin(self, experiment: str, dataset: int, rules: int) -> OpenDataset:
        """Return the dataset's state, made when this is its first action.

        ``rules`` is how many rules it will get; it is forgotten once created, closed and ruled.
        """
        key = experiment, dataset
        if key not in self._open:
            self._open[key] = OpenDataset(actions_left=2 + rules)
            self._open[key].drained.set()
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
