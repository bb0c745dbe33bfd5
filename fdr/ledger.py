"""Count, from the journal, what Rucio must come to hold: files of datasets, rules, transfers. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

from fdr.model import Did, Ending, Event, Intention, Kind, Outcome, TransferSeen


class Ledger:
    """A few counts per dataset and rule; remembers uploads until they are registered."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.transfers_done = 0
        self.rules: dict[str, int] = {}  # the action that added each
        self._uploads: dict[int, tuple[tuple[str, int], str]] = {}
        self._datasets: dict[tuple[str, int], Did] = {}
        self._files: dict[Did, Counter[str]] = defaultdict(Counter)  # by dataset and RSE of the upload

    def take(self, event: Event) -> None:
        """Count one event in; intentions come before their outcomes."""
        if isinstance(event, Intention):
            key = event.experiment, event.dataset
            if event.kind is Kind.UPLOAD:
                self._uploads[event.action] = key, event.rse
            elif event.kind is Kind.DATASET:
                self._datasets[key] = event.did
        elif isinstance(event, Outcome):
            self._take_outcome(event)
        elif isinstance(event, TransferSeen):
            self.transfers_done += event.done

    def _take_outcome(self, outcome: Outcome) -> None:
        is_ok = outcome.ending is Ending.OK
        if outcome.step == "rule" and is_ok:
            self.rules[outcome.detail] = outcome.action
        elif outcome.step == "cancel" and is_ok:
            self.rules.pop(outcome.detail, None)
        elif outcome.step == "register" and is_ok and outcome.action in self._uploads:
            key, rse = self._uploads.pop(outcome.action)
            self._files[self._datasets[key]][rse] += 1

    def files(self, dataset: Did) -> int:
        """Return how many files have been registered in a dataset."""
        return self._files[dataset].total() if dataset in self._files else 0

    def transfers_needed(self, destinations: Mapping[Did, frozenset[str]]) -> int:
        """Return how many transfers bring every registered file to each RSE that its dataset must be at."""
        return sum(
            count * len(destinations.get(dataset, frozenset()) - {rse})
            for dataset, at in self._files.items()
            for rse, count in at.items()
        )
