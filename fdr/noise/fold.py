"""Fold the journal of a pass into what became of every pair that was tried. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from fdr.model import Did, Ending, Event, Intention, Kind, Outcome, RuleSeen, Scenario, TransferSeen
from fdr.noise.pair import Pair, State

ENDED_EARLY = "the pass ended before"
STUCK = frozenset({"STUCK", "SUSPENDED"})


@dataclass(slots=True)
class _Upload:
    """The one file of an experiment: each step's last outcome, and what is known of its transfers."""

    steps: dict[str, Outcome] = field(default_factory=dict)
    came_from: dict[str, str] = field(default_factory=dict)  # by destination
    failures: dict[str, list[str]] = field(default_factory=dict)


@dataclass(slots=True)
class _Rule:
    added: Outcome | None = None
    seen: RuleSeen | None = None
    ok_at: float | None = None


class NoiseFold:
    """Takes the events of a pass; there are a few for each pair."""

    def __init__(self, scenario: Scenario, events: Iterable[Event]) -> None:
        """Take the pass's scenario, whose experiments upload one file each, and its journal's events."""
        self._scenario = scenario
        self._uploads = {name: _Upload() for name in scenario.experiments}
        self._rules: dict[tuple[str, str], _Rule] = {}
        self._experiment: dict[int, str] = {}
        self._of_file: dict[Did, str] = {}
        self._of_action: dict[int, _Rule] = {}
        self._of_id: dict[str, _Rule] = {}
        for event in events:
            self._take(event)

    def pairs(self) -> Iterator[Pair]:
        """Yield every pair that the scenario tries, with what became of it."""
        for name, experiment in self._scenario.experiments.items():
            for rule in experiment.rules:
                yield self._pair(experiment.inject.to, rule.to, name)

    def upload_seconds(self) -> dict[str, float]:
        """Return how long it took to put a file, by source RSE; the longest where there are several."""
        seconds: dict[str, float] = {}
        for name, experiment in self._scenario.experiments.items():
            put = self._uploads[name].steps.get("put")
            if put is not None and put.ending is Ending.OK:
                rse = experiment.inject.to
                seconds[rse] = max(seconds.get(rse, 0.0), put.ended_at - put.begun_at)
        return seconds

    def _take(self, event: Event) -> None:
        match event:
            case Intention(kind=Kind.UPLOAD):
                self._experiment[event.action] = event.experiment
                self._of_file[event.did] = event.experiment
            case Intention(kind=Kind.RULE):
                rule = self._rules.setdefault((event.experiment, event.rse), _Rule())
                self._of_action[event.action] = rule
            case Outcome(step="put" | "register"):
                self._uploads[self._experiment[event.action]].steps[event.step] = event
            case Outcome(step="rule"):
                rule = self._of_action[event.action]
                rule.added = event
                self._of_id[event.detail] = rule
            case RuleSeen() if event.rule_id in self._of_id:
                rule = self._of_id[event.rule_id]
                rule.seen = event
                is_ok = event.state == "OK" and event.locks_ok
                rule.ok_at = (rule.ok_at or event.at) if is_ok else None
            case TransferSeen() if event.did in self._of_file:
                self._take_transfer(self._uploads[self._of_file[event.did]], event)
            case _:
                pass

    def _take_transfer(self, upload: _Upload, event: TransferSeen) -> None:
        if event.done:
            upload.came_from[event.dst_rse] = event.src_rse
        else:
            upload.failures.setdefault(event.dst_rse, []).append(event.reason)

    def _pair(self, src: str, dst: str, experiment: str) -> Pair:
        upload = self._uploads[experiment]
        rule = self._rules.get((experiment, dst), _Rule())
        for step, failing in (("put", "could not be put"), ("register", "could not be registered")):
            outcome = upload.steps.get(step)
            if outcome is None or outcome.ending is Ending.DROPPED:
                return Pair(src, dst, State.SKIPPED, ENDED_EARLY)
            if outcome.ending is not Ending.OK:
                why = outcome.message or outcome.reason
                return Pair(src, dst, State.FAILED, f"the file {failing}: {why}")
        if rule.added is None:
            return Pair(src, dst, State.SKIPPED, ENDED_EARLY)
        if rule.added.ending is not Ending.OK:
            message = rule.added.message or rule.added.reason
            return Pair(src, dst, State.FAILED, f"the rule could not be added: {message}")
        if rule.ok_at is not None:
            duration_s = max(0.0, rule.ok_at - rule.added.begun_at)
            return Pair(src, dst, State.OK, "", duration_s, upload.came_from.get(dst, ""))
        failures = upload.failures.get(dst, [])
        state = State.STUCK if rule.seen is not None and rule.seen.state in STUCK else State.REPLICATING
        return Pair(src, dst, state, _why(failures, rule.seen.error if rule.seen else ""))


def _why(failures: list[str], error: str) -> str:
    if not failures:
        return error
    times = "once" if len(failures) == 1 else f"{len(failures)} times"
    return f"copying failed {times}: {failures[-1]}"
