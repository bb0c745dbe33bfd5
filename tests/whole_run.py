"""A made-up run in the true order of its happening: deeds, what is written of them, crashes, and resuming."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from fdr.metrics import Planned, PlannedExperiment
from fdr.model import (
    Did,
    Ending,
    Event,
    Intention,
    Kind,
    Note,
    Outcome,
    Resumed,
    RuleSeen,
    RunStarted,
    TransferSeen,
)

STARTED = RunStarted("run", "whole", 1, "", 1.0, 1.0, 0.0, "0", "0", "fake", "")
EXPERIMENTS = ("CTA", "SKA")
DATASETS, FILES = 2, 3  # of an experiment, and of a dataset
PLANNED = Planned(
    {
        name: PlannedExperiment(
            files=DATASETS * FILES, bytes=10 * DATASETS * FILES, datasets=DATASETS, rules=DATASETS
        )
        for name in EXPERIMENTS
    }
)
Steps = Iterator[Event | None]  # what is written next; None where something happened that is not


@dataclass(frozen=True)
class Truth:
    """How much has really happened in the lake."""

    ok: int
    registered: int
    created: int
    closed: int
    rules: int
    transfers: int


@dataclass
class Lake:
    """What is there, whether or not anybody wrote it down."""

    stored: set[int] = field(default_factory=set)
    registered: set[int] = field(default_factory=set)
    created: set[int] = field(default_factory=set)
    closed: set[int] = field(default_factory=set)
    rules: set[int] = field(default_factory=set)
    transfers: set[str] = field(default_factory=set)

    def truth(self) -> Truth:
        """Return how much that is."""
        ok = len(self.stored & self.registered)
        sets = self.registered, self.created, self.closed, self.rules, self.transfers
        return Truth(ok, *(len(found) for found in sets))


@dataclass(frozen=True)
class Moment:
    """One event as it is written, and what was true in the lake by then."""

    event: Event
    truth: Truth


class WholeRun:
    """A run of some sessions; all but the last end in a crash, or in an orderly stop."""

    def __init__(self, seed: int, trouble: float, sessions: int) -> None:
        """Take the share of deeds that do not go well, and how many times the run is begun."""
        self._draw = random.Random(seed)
        self._trouble = trouble
        self._lake = Lake()
        self._now = 0.0
        self._ended: set[int] = set()  # actions with which nothing more is to be done
        self._added: set[int] = set()  # rules that were written to be added
        self.moments: list[Moment] = []
        for session in range(sessions):
            self._session(is_first=session == 0, is_last=session == sessions - 1)

    def __repr__(self) -> str:
        """Say how much there is, for a failing test to print."""
        return f"<whole run of {len(self.moments)} events>"

    def _write(self, event: Event) -> None:
        self.moments.append(Moment(event, self._lake.truth()))

    def _session(self, *, is_first: bool, is_last: bool) -> None:
        draw = self._draw
        if not is_first:
            last_at = self._now
            self._write(Resumed(self._tick(), last_at))
        active = [
            self._dataset(experiment, number, dataset)
            for number, experiment in enumerate(EXPERIMENTS)
            for dataset in range(DATASETS)
        ]
        steps = 10**6 if is_last else draw.randrange(150)
        while active and steps:
            steps -= 1
            work = draw.choice(active)
            try:
                event = next(work)
            except StopIteration:
                active.remove(work)
                continue
            if event is not None:
                self._write(event)
        if is_last or draw.random() < 0.5:
            if not is_last:
                self._write(Note(self._tick(), "interrupted", "SIGTERM"))
            self._write(Note(self._tick(), "injected"))
            self._write(Note(self._tick(), "ended"))

    def _dataset(self, experiment: str, number: int, dataset: int) -> Steps:
        base = 10_000 * number + 100 * dataset
        did = Did(experiment.lower(), f"run/{experiment}/{dataset}")
        yield from self._deed(base, Kind.DATASET, "create", experiment, dataset, did, self._lake.created)
        files = [
            self._upload(base + 10 + n, experiment, dataset, Did(did.scope, f"{did.name}/{n}"))
            for n in range(FILES)
        ]
        while files:
            work = self._draw.choice(files)
            try:
                yield next(work)
            except StopIteration:
                files.remove(work)
        yield from self._deed(base + 1, Kind.CLOSE, "close", experiment, dataset, did, self._lake.closed)
        yield from self._rule(base + 2, experiment, dataset, did)

    def _deed(
        self, action: int, kind: Kind, step: str, experiment: str, dataset: int, did: Did, there: set[int]
    ) -> Steps:
        if action in self._ended:
            return
        yield Intention(action, kind, experiment, dataset, did, "", 0, self._tick())
        yield from self._attempts(action, step, there)
        self._ended.add(action)

    def _upload(self, action: int, experiment: str, dataset: int, did: Did) -> Steps:
        if action in self._ended:
            return
        yield Intention(action, Kind.UPLOAD, experiment, dataset, did, "SITE-A", 10, self._tick())
        if self._draw.random() < self._trouble / 4:
            at = self._tick()
            yield Outcome(action, "put", at, at, Ending.DROPPED, "in-flight-bound")
        elif (yield from self._attempts(action, "put", self._lake.stored)):
            yield from self._attempts(action, "register", self._lake.registered)
        self._ended.add(action)

    def _attempts(self, action: int, step: str, there: set[int]) -> Iterator[Event | None]:
        """Try a step once or twice; return whether it was written to be well."""
        for _ in range(2):
            begun = self._tick()
            fate = Ending.OK
            if self._draw.random() < self._trouble:
                fate = self._draw.choice((Ending.FAILED, Ending.UNKNOWN))
            yield None
            if fate is Ending.OK or (fate is Ending.UNKNOWN and self._draw.random() < 0.5):
                there.add(action)
                yield None  # it has happened, and nothing of it is written
            detail = f"rule{action}" if step == "rule" else ""
            yield Outcome(
                action, step, begun, self._tick(), fate, "" if fate is Ending.OK else "why", "", detail
            )
            if fate is Ending.OK:
                return True
        return False

    def _rule(self, action: int, experiment: str, dataset: int, did: Did) -> Steps:
        if action not in self._ended:
            yield Intention(action, Kind.RULE, experiment, dataset, did, "SITE-B", 0, self._tick())
            if (yield from self._attempts(action, "rule", self._lake.rules)):
                self._added.add(action)
            self._ended.add(action)
        if action not in self._added:
            return
        rule = f"rule{action}"
        yield RuleSeen(self._tick(), rule, "REPLICATING", 0, FILES, 0)
        for n in range(FILES):
            request = f"{rule}/{n}"
            done = self._draw.random() >= self._trouble
            if done:
                self._lake.transfers.add(request)
            yield None
            for _ in range(1 + (self._draw.random() < 0.1)):  # a broker may tell it twice
                yield TransferSeen(
                    self._tick(),
                    done,
                    request,
                    did,
                    "SITE-A",
                    "SITE-B",
                    10,
                    "",
                    "davs",
                    None,
                    None,
                    None,
                    None,
                )
        if self._draw.random() < self._trouble:
            yield Outcome(action, "cancel", self._tick(), self._tick(), Ending.OK, detail=rule)
        else:
            yield RuleSeen(self._tick(), rule, self._draw.choice(("OK", "STUCK")), FILES, 0, 0)

    def _tick(self) -> float:
        self._now += self._draw.random()
        return self._now
