"""Fold a journal into numbers. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fdr.folds.failures import Failures
from fdr.folds.resources import Resources
from fdr.folds.rules import Rules
from fdr.folds.transfers import Transfers
from fdr.folds.uploads import Uploads
from fdr.metrics import (
    ENDING_NOTES,
    ExperimentMetrics,
    Metrics,
    PlannedExperiment,
    RuleCounts,
    Session,
    UploadCounts,
)
from fdr.model import (
    AFTER_THE_RUN,
    Audited,
    Ending,
    GeneratorUsage,
    Intention,
    Kind,
    Note,
    Outcome,
    Resumed,
    RseUsage,
    RuleSeen,
    ServiceSample,
    TransferSeen,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fdr.metrics import Planned
    from fdr.model import Event, RunStarted

MAX_NOTES = 200  # and the first of every kind, and how each session ended
UPLOAD_STEPS = frozenset({"put", "register"})
NOTHING_PLANNED = PlannedExperiment(files=0, bytes=0, datasets=0, rules=0)


class Fold:
    """Takes the events of one run, one by one; intentions come before their outcomes."""

    def __init__(self, started: RunStarted, planned: Planned) -> None:
        """Take the head of the journal and what the plan held."""
        self._started = started
        self._planned = planned
        self._last_at = started.started_at
        self._resumed: list[Resumed] = []
        self._notes: list[Note] = []
        self._uploads = Uploads()
        self._rules = Rules()
        self._transfers = Transfers()
        self._failures = Failures()
        self._resources = Resources()
        self._audit: Audited | None = None

    def take(self, event: Event) -> None:
        """Take one event."""
        match event:  # the commonest first: a run of a day has millions of them
            case Outcome():
                self._outcome(event)
            case Intention():
                (self._uploads if event.kind is Kind.UPLOAD else self._rules).intend(event)
            case TransferSeen():
                self._at(event.at)
                if self._transfers.is_new(event) and not event.done:
                    self._failures.take_transfer(event)
            case RuleSeen():
                self._at(event.at)
                self._rules.see(event)
            case ServiceSample():
                self._at(event.at)
                self._resources.sample(event)
            case RseUsage():
                self._at(event.at)
                self._resources.use(event)
            case GeneratorUsage():
                self._at(event.at)
                self._resources.generate(event)
            case Note():
                self._note(event)
            case Resumed():
                self._resumed.append(event)
            case Audited():
                self._audit = event

    def metrics(self) -> Metrics:
        """Return the numbers of what has been taken so far."""
        uploads = self._uploads.counts()
        sessions = self._sessions()
        return Metrics(
            started=self._started,
            planned=self._planned,
            sessions=sessions,
            ended_at=sessions[-1].last_at if sessions[-1].ended else None,
            last_at=self._last_at,
            notes=tuple(self._notes),
            experiments=self._experiments(uploads),
            uploads=uploads,
            links=self._transfers.links(),
            slices=(*self._uploads.slices(), *self._rules.slices(), *self._transfers.slices()),
            services=self._resources.services(),
            rse_used_peak=dict(sorted(self._resources.rse_used_peak.items())),
            failures=self._failures.groups(),
            timeline=self._uploads.timeline(self._started.started_at),
            generator=self._resources.generator,
            audit=self._valid_audit(),
        )

    def _outcome(self, outcome: Outcome) -> None:
        self._at(outcome.ended_at)
        (self._uploads if outcome.step in UPLOAD_STEPS else self._rules).end(outcome)
        if outcome.ending is not Ending.OK:
            self._failures.take_outcome(outcome)

    def _note(self, note: Note) -> None:
        if note.kind not in AFTER_THE_RUN:
            self._at(note.at)
        is_first = note.kind not in {kept.kind for kept in self._notes}
        if len(self._notes) < MAX_NOTES or is_first or note.kind in ENDING_NOTES:
            self._notes.append(note)

    def _sessions(self) -> tuple[Session, ...]:
        """Return the sessions; one ended if it noted so, and its last moment then is that note's."""
        begins = [self._started.started_at, *(resumed.at for resumed in self._resumed)]
        lasts = [*(resumed.last_at for resumed in self._resumed), self._last_at]
        sessions = []
        for begun_at, last_at in zip(begins, lasts, strict=True):
            ends = [
                note.at for note in self._notes if note.kind == "ended" and begun_at <= note.at <= last_at
            ]
            sessions.append(Session(begun_at, max(ends, default=last_at), bool(ends)))
        return tuple(sessions)

    def _valid_audit(self) -> Audited | None:
        """Return the last audit, unless the run went on after it."""
        went_on = max((resumed.at for resumed in self._resumed), default=0.0)
        return self._audit if self._audit and self._audit.at >= went_on else None

    def _at(self, at: float) -> None:
        if at > self._last_at:  # noqa: PLR1730  # half the time of max()
            self._last_at = at

    def _experiments(self, uploads: Mapping[tuple[str, str], UploadCounts]) -> dict[str, ExperimentMetrics]:
        """Return the experiments of the plan, in its order, then any that only the journal knows."""
        files: dict[str, UploadCounts] = {}
        for (experiment, _), counts in uploads.items():
            files[experiment] = files.get(experiment, UploadCounts()) + counts
        rules = self._rules.counts()
        created = self._rules.datasets(Kind.DATASET)
        closed = self._rules.datasets(Kind.CLOSE)
        return {
            name: ExperimentMetrics(
                planned=self._planned.experiments.get(name, NOTHING_PLANNED),
                files=files.get(name, UploadCounts()),
                datasets_created=created[name],
                datasets_closed=closed[name],
                rules=rules.get(name, RuleCounts()),
            )
            for name in dict.fromkeys([*self._planned.experiments, *files, *rules, *created])
        }


def fold(started: RunStarted, planned: Planned, events: Iterable[Event]) -> Metrics:
    """Return the numbers of a run from its head, its plan and its events.

    The order of events matters within a kind only, but for this: an intention comes before its outcomes.
    Takes about 250 bytes of memory a file.
    """
    folding = Fold(started, planned)
    for event in events:
        folding.take(event)
    return folding.metrics()
