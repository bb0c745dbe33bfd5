"""What the events of a run say of its last minutes, to each sentence of ``limits.abort_when``. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fdr.model import SETTLED, Ending, Intention, Kind, Outcome, RuleSeen, TransferSeen
from fdr.objectives import Unit, quantile_of
from fdr.units import format_duration
from fdr.window import Window, bin_of, quantile_of_bins

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fdr.abort_when import AbortWhen
    from fdr.model import Event

Labels = tuple[tuple[str, str], ...]

THINGS = {"upload": "files", "transfer": "transfers", "rule": "rules"}
COUNTED_AS = {
    "upload.success": "ok",
    "upload.failed": "failed",
    "upload.dropped": "dropped",
    "upload.unknown": "unknown",
    "transfer.success": "done",
    "transfer.failed": "failed",
    "rule.stuck": "stuck",
}
STUCK = ("STUCK", "SUSPENDED", "WAITING_APPROVAL")  # they go on only if somebody acts


@dataclass(slots=True)
class _Watched:
    """One sentence, and the window of what it is about."""

    sentence: AbortWhen
    subject: str = field(init=False)  # the phase of a percentile; upload, transfer or rule of a count
    window: Window = field(init=False)

    def __post_init__(self) -> None:
        metric = self.sentence.limit.metric
        timed = quantile_of(metric)
        self.subject = timed[0] if timed else metric.partition(".")[0]
        self.window = Window(self.sentence.over_s)

    def broken(self, now: float) -> str:
        """Return what was observed if the limit holds now, in words; nothing if it does not."""
        limit = self.sentence.limit
        counts = self.window.counts(now)
        sample = counts.total()
        if sample < max(1, self.sentence.needed):
            return ""
        thing = THINGS[limit.metric.partition(".")[0].replace("register", "upload")]
        timed = quantile_of(limit.metric)
        if timed is not None:
            observed = quantile_of_bins(counts, timed[1])
            told = f"{format_duration(observed)} of {sample} {thing}"
        else:
            part = counts[COUNTED_AS[limit.metric]]
            observed = part / sample if limit.unit is Unit.RATIO else float(part)
            told = (
                f"{100 * observed:.4g}% of {sample} {thing}"
                if limit.unit is Unit.RATIO
                else f"{part} {thing}"
            )
        return f"{self.sentence.text}: {told}" if limit.holds(observed) else ""


@dataclass(slots=True)
class _Upload:
    labels: Labels
    due_at: float
    has_begun: bool = False


class Recent:
    """Takes the events of a journal as they are written; intentions come before their outcomes.

    What ends in a stretch of time counts in it: a file when its put fails or its registration ends, a
    transfer when it is heard of, a rule when it comes to be stuck. What was found out of the time before a
    run was resumed does not, and a file counts once, though it is tried again. Holds a window of bounded
    size for each sentence, the files that have not ended, which the engine's bound bounds, and two names for
    each rule.
    """

    def __init__(self, sentences: Iterable[AbortWhen]) -> None:
        """Take the sentences."""
        self._watched = [_Watched(sentence) for sentence in sentences]
        self._uploads: dict[int, _Upload] = {}
        self._rule_actions: dict[int, str] = {}
        self._rules: dict[str, str] = {}
        self._stuck: set[str] = set()

    def take(self, event: Event) -> None:
        """Take one event."""
        match event:
            case Intention(kind=Kind.UPLOAD):
                labels = (("experiment", event.experiment), ("rse", event.rse))
                self._uploads.setdefault(event.action, _Upload(labels, event.due_at))
            case Intention(kind=Kind.RULE):
                self._rule_actions[event.action] = event.experiment
            case Outcome(step="rule"):
                experiment = self._rule_actions.get(event.action, "")
                if event.ending is Ending.OK:
                    self._rules[event.detail] = experiment
            case Outcome(step="put" | "register"):
                self._upload_ended(event)
            case TransferSeen():
                self._transfer_ended(event)
            case RuleSeen():
                self._rule_seen(event)

    def broken(self, now: float) -> str:
        """Return the first sentence that holds at ``now`` (Unix seconds), with what was observed."""
        return next(filter(None, (watched.broken(now) for watched in self._watched)), "")

    def _upload_ended(self, outcome: Outcome) -> None:
        upload = self._uploads.get(outcome.action)
        if upload is None:
            return
        is_put, is_ok = outcome.step == "put", outcome.ending is Ending.OK
        if outcome.reason == SETTLED:
            if is_ok and not is_put:
                del self._uploads[outcome.action]
            return
        at, took_s = outcome.ended_at, outcome.ended_at - outcome.begun_at
        if is_put and outcome.ending is not Ending.DROPPED and not upload.has_begun:
            upload.has_begun = True
            self._tell("upload.lateness", upload.labels, at, bin_of(outcome.begun_at - upload.due_at))
        if is_ok:
            self._tell(f"upload.{outcome.step}", upload.labels, at, bin_of(took_s))
        if is_put and is_ok:
            return
        if is_ok:
            self._tell("upload.total", upload.labels, at, bin_of(at - upload.due_at))
        self._tell("upload", upload.labels, at, outcome.ending.value)
        del self._uploads[outcome.action]

    def _transfer_ended(self, seen: TransferSeen) -> None:
        labels = (("src", seen.src_rse), ("dst", seen.dst_rse))
        self._tell("transfer", labels, seen.at, "done" if seen.done else "failed")
        moments = {
            "transfer.queued": (seen.created_at, seen.submitted_at),
            "transfer.waiting": (seen.submitted_at, seen.started_at),
            "transfer.copy": (seen.started_at, seen.transferred_at),
            "transfer.total": (seen.created_at, seen.transferred_at),
        }
        for phase, (begin, end) in moments.items():
            if seen.done and begin is not None and end is not None:
                self._tell(phase, labels, seen.at, bin_of(end - begin))

    def _rule_seen(self, seen: RuleSeen) -> None:
        if seen.state not in STUCK:
            self._stuck.discard(seen.rule_id)
        elif seen.rule_id not in self._stuck:
            self._stuck.add(seen.rule_id)
            labels = (("experiment", self._rules.get(seen.rule_id, "")),)
            self._tell("rule", labels, seen.at, "stuck")

    def _tell(self, subject: str, labels: Labels, at: float, what: int | str) -> None:
        """Count one thing in the window of every sentence that is about it."""
        for watched in self._watched:
            if watched.subject == subject and all(label in labels for label in watched.sentence.limit.labels):
                watched.window.add(at, what)
