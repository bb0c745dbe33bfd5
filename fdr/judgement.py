"""Judge objectives by the numbers of a run. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fdr.metrics import UploadCounts
from fdr.model import Verdict
from fdr.objectives import AUDITED, Objective, Unit, parse_objective, quantile_of
from fdr.percentiles import needed_sample, ordered_seconds, percentile

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fdr.metrics import Metrics

WORSE = (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL)
UPLOAD_METRICS = ("upload.", "files.")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an objective came to; ``observed`` is in ``unit``, None where nothing could be told.

    ``sample`` counts what the number rests on: planned things of a ratio, measured ones of a percentile.
    ``why`` says in words why the verdict is inconclusive.
    """

    text: str
    observed: float | None
    unit: Unit
    sample: int
    verdict: Verdict
    why: str = ""


def judge(objective: Objective, metrics: Metrics) -> Judgement:
    """Judge one objective; inconclusive when nothing was measured or the sample is too small."""
    if objective.metric in AUDITED:
        return _judge_audited(objective, metrics)
    observed, sample, why = _measure(objective, metrics)
    if objective.metric.startswith("transfer.") and metrics.noted("events-lost"):
        why = "transfer events were lost"
    if observed is None or why:
        return Judgement(objective.text, observed, objective.unit, sample, Verdict.INCONCLUSIVE, why)
    verdict = Verdict.PASS if objective.holds(observed) else Verdict.FAIL
    return Judgement(objective.text, observed, objective.unit, sample, verdict)


def _judge_audited(objective: Objective, metrics: Metrics) -> Judgement:
    """Judge an objective on what an audit counts.

    Looking at what could not be looked at could only find more: too many already are too many for good.
    """
    audit = metrics.audit
    if audit is None:
        why = "the run was not audited (fdr audit)"
        return Judgement(objective.text, None, objective.unit, 0, Verdict.INCONCLUSIVE, why)
    observed = float(getattr(audit, objective.metric))
    verdict, why = Verdict.PASS if objective.holds(observed) else Verdict.FAIL, ""
    is_too_many = (
        verdict is Verdict.FAIL and objective.op in {"<", "<=", "=="} and observed >= objective.limit
    )
    if audit.unseen and not is_too_many:
        verdict, why = Verdict.INCONCLUSIVE, f"the audit could not look at {audit.unseen} copies"
    elif audit.expired and not is_too_many:
        verdict, why = (
            Verdict.INCONCLUSIVE,
            f"the audit came late: {audit.expired} things were expired or removed",
        )
    elif audit.files == 0 and verdict is Verdict.PASS:
        verdict, why = Verdict.INCONCLUSIVE, "there was nothing to audit"
    return Judgement(objective.text, observed, objective.unit, audit.files, verdict, why)


def judge_all(objectives: Iterable[str], metrics: Metrics) -> tuple[Judgement, ...]:
    """Judge objectives as they are written; raises ValueError if one cannot be read."""
    return tuple(judge(parse_objective(text, metrics.experiments), metrics) for text in objectives)


def overall(judgements: Sequence[Judgement], metrics: Metrics) -> tuple[Verdict, tuple[str, ...]]:
    """Return the verdict on a run, the worst of all, and what else keeps it from passing, in words.

    No objective at all, a run that did not come to its own end, and a run without one good file are
    inconclusive at best.
    """
    verdicts = [judgement.verdict for judgement in judgements]
    doubts = doubts_about(metrics)
    if not judgements:
        doubts = (*doubts, "there is no objective to judge by")
    if doubts:
        verdicts.append(Verdict.INCONCLUSIVE)
    return max(verdicts, key=WORSE.index, default=Verdict.INCONCLUSIVE), doubts


def doubts_about(metrics: Metrics) -> tuple[str, ...]:
    """Return, in words, why a run cannot pass whatever its numbers are."""
    doubts = []
    if metrics.ended_at is None:
        doubts.append("the run did not end")
    if metrics.noted("interrupted"):
        doubts.append("the run was interrupted")
    doubts.extend(
        f"the run stopped at a limit{f' ({note.text})' if note.text else ''}"
        for note in metrics.noted("limit")
    )
    if not any(experiment.files.ok for experiment in metrics.experiments.values()):
        doubts.append("not one file was put and registered")
    return tuple(doubts)


def _measure(objective: Objective, metrics: Metrics) -> tuple[float | None, int, str]:
    """Return the number an objective is about, what it rests on, and why there is none."""
    timed = quantile_of(objective.metric)
    if timed is not None:
        phase, quantile = timed
        ordered = ordered_seconds(metrics.slices, phase, objective.labels)
        observed = percentile(ordered, quantile)
        needed = needed_sample(quantile)
        why = "" if observed is not None else f"it needs {needed} measurements, there are {len(ordered)}"
        return observed, len(ordered), why
    if objective.metric.startswith(UPLOAD_METRICS):
        count, whole, measured = _uploads(objective, metrics)
    elif objective.metric.startswith("transfer."):
        count, whole, measured = _transfers(objective, metrics)
    else:
        count, whole, measured = _datasets_and_rules(objective, metrics)
    if measured == 0 or whole == 0:
        return None, 0, "nothing was measured"
    return (count / whole if objective.unit is Unit.RATIO else float(count)), whole, ""


def _uploads(objective: Objective, metrics: Metrics) -> tuple[int, int, int]:
    """Return the files counted, the files planned, and the files intended."""
    labels = dict(objective.labels)
    rse = labels.get("rse")
    names = [labels["experiment"]] if "experiment" in labels else list(metrics.experiments)
    total = UploadCounts()
    for (experiment, place), counts in metrics.uploads.items():
        if experiment in names and rse in {None, place}:
            total += counts
    plans = [metrics.experiments[name].planned for name in names if name in metrics.experiments]
    if rse is None:
        planned = sum(plan.files for plan in plans)
    else:
        planned = sum(plan.files_at.get(rse, 0) for plan in plans)
    count = {
        "upload.success": total.ok,
        "upload.count": total.ok,
        "upload.failed": total.failed,
        "upload.dropped": total.dropped,
        "upload.unknown": total.unknown,
        "files.registered": total.registered,
    }[objective.metric]
    return count, max(planned, total.intended), total.intended


def _transfers(objective: Objective, metrics: Metrics) -> tuple[int, int, int]:
    """Return the transfers counted, and twice how many ended."""
    labels = dict(objective.labels)
    links = [
        link
        for link in metrics.links
        if labels.get("src") in {None, link.src} and labels.get("dst") in {None, link.dst}
    ]
    done = sum(link.done for link in links)
    failed = sum(link.failed for link in links)
    count = failed if objective.metric == "transfer.failed" else done
    return count, done + failed, done + failed


def _datasets_and_rules(objective: Objective, metrics: Metrics) -> tuple[int, int, int]:
    """Return the datasets or rules counted, those planned, and those that were tried."""
    name = dict(objective.labels).get("experiment")
    found = [metrics.experiments[name]] if name is not None else list(metrics.experiments.values())
    if objective.metric == "dataset.closed":
        tried = sum(experiment.datasets_created for experiment in found)
        planned = sum(experiment.planned.datasets for experiment in found)
        return sum(experiment.datasets_closed for experiment in found), max(planned, tried), tried
    rules = [experiment.rules for experiment in found]
    tried = sum(counts.added + counts.failed + counts.unknown + counts.dropped for counts in rules)
    planned = sum(experiment.planned.rules for experiment in found)
    counted = {
        "rule.success": sum(counts.ok for counts in rules),
        "rule.count": sum(counts.ok for counts in rules),
        "rule.stuck": sum(counts.stuck for counts in rules),
    }[objective.metric]
    return counted, max(planned, tried), tried
