"""Counts of a run that goes on, kept event by event. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fdr.model import SETTLED, Ending, Intention, Kind, Note, Outcome, Resumed, RuleSeen, TransferSeen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fdr.metrics import Planned
    from fdr.model import Event

RECENT = 200  # starts whose lateness is shown
ENDED_AS = {Ending.FAILED: "failed", Ending.UNKNOWN: "unknown", Ending.DROPPED: "dropped"}
PHASES = {"injected": "following rules", "grace-over": "ending", "cancelling": "cancelling", "ended": "ended"}


@dataclass(slots=True)
class Progress:
    """How far one experiment is; files in flight were begun, or are about to be, and have not ended."""

    planned: int = 0
    planned_rules: int = 0
    in_flight: int = 0
    ok: int = 0
    failed: int = 0
    unknown: int = 0
    dropped: int = 0
    bytes_ok: int = 0
    rules_added: int = 0
    rules_ok: int = 0


@dataclass(slots=True)
class _Upload:
    progress: Progress
    size_bytes: int
    due_at: float
    has_begun: bool = False
    counted_as: str = "in_flight"  # the count of its progress that it stands in

    def count_as(self, name: str) -> None:
        """Move the file from the count it stands in to another."""
        setattr(self.progress, self.counted_as, getattr(self.progress, self.counted_as) - 1)
        setattr(self.progress, name, getattr(self.progress, name) + 1)
        self.counted_as = name


class Tally:
    """Takes the events of a journal as readers give them; remembers only files that are not OK yet."""

    def __init__(self, planned: Planned) -> None:
        """Begin with a plan of which nothing was done."""
        self.experiments = {
            name: Progress(planned=plan.files, planned_rules=plan.rules)
            for name, plan in planned.experiments.items()
        }
        self.transfers_done = 0
        self.transfers_failed = 0
        self.phase = "injecting"
        self._session_at = 0.0  # when the run was resumed last
        self._uploads: dict[int, _Upload] = {}
        self._rule_actions: dict[int, Progress] = {}
        self._rules: dict[str, Progress] = {}
        self._rules_ok: set[str] = set()
        self._lateness: deque[float] = deque(maxlen=RECENT)

    def take(self, events: Iterable[Event]) -> None:
        """Count events in; intentions come before their outcomes."""
        for event in events:
            match event:
                case Intention():
                    self._intention(event)
                case Outcome():
                    self._outcome(event)
                case TransferSeen():
                    self.transfers_done += event.done
                    self.transfers_failed += not event.done
                case RuleSeen():
                    self._rule(event)
                case Note():
                    self._note(event)
                case Resumed():
                    self._session_at, self.phase = event.at, "injecting"

    @property
    def lateness_s(self) -> float | None:
        """The greatest lateness of the last ``RECENT`` starts, in seconds; None before the first."""
        return max(self._lateness, default=None)

    @property
    def total(self) -> Progress:
        """The sum over the experiments."""
        total = Progress()
        for progress in self.experiments.values():
            for name in Progress.__slots__:
                setattr(total, name, getattr(total, name) + getattr(progress, name))
        return total

    def _intention(self, intention: Intention) -> None:
        progress = self.experiments.setdefault(intention.experiment, Progress())
        if intention.kind is Kind.UPLOAD and intention.action not in self._uploads:
            progress.in_flight += 1
            self._uploads[intention.action] = _Upload(progress, intention.size_bytes, intention.due_at)
        elif intention.kind is Kind.RULE:
            self._rule_actions[intention.action] = progress

    def _outcome(self, outcome: Outcome) -> None:
        if outcome.step == "rule":
            if outcome.ending is Ending.OK and (progress := self._rule_actions.pop(outcome.action, None)):
                progress.rules_added += 1
                self._rules[outcome.detail] = progress
            return
        upload = self._uploads.get(outcome.action)
        if upload is None or outcome.step not in {"put", "register"}:
            return
        if outcome.step == "put" and _tells_begin(outcome) and not upload.has_begun:
            upload.has_begun = True
            self._lateness.append(outcome.begun_at - upload.due_at)
        if outcome.ending is not Ending.OK:
            upload.count_as(ENDED_AS[outcome.ending])  # it is kept: another attempt may make it good
        elif outcome.step == "put":
            upload.count_as("in_flight")
        else:
            upload.count_as("ok")
            upload.progress.bytes_ok += upload.size_bytes
            del self._uploads[outcome.action]

    def _rule(self, seen: RuleSeen) -> None:
        progress = self._rules.get(seen.rule_id)
        if progress is None:
            return
        if seen.state == "OK" and seen.rule_id not in self._rules_ok:
            self._rules_ok.add(seen.rule_id)
            progress.rules_ok += 1
        elif seen.state != "OK" and seen.rule_id in self._rules_ok:
            self._rules_ok.remove(seen.rule_id)
            progress.rules_ok -= 1

    def _note(self, note: Note) -> None:
        if note.at < self._session_at:  # readers give notes of the session before after its end, too
            return
        if note.kind in {"interrupted", "limit"}:
            self.phase = "stopping"
        elif note.kind in PHASES and not (self.phase == "stopping" and note.kind == "injected"):
            self.phase = PHASES[note.kind]


def _tells_begin(outcome: Outcome) -> bool:
    return outcome.ending is not Ending.DROPPED and outcome.reason != SETTLED
