"""What an objective says: a limit on one number of a run. Pure."""

from __future__ import annotations

import difflib
import operator
import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from fdr.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping


class Unit(StrEnum):
    """What an observed number counts."""

    RATIO = "ratio"  # 0 to 1, written with %
    SECONDS = "s"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Objective:
    """A limit on one number: ``metric{labels} op limit``; the limit in seconds, a ratio or a count."""

    text: str
    metric: str
    labels: tuple[tuple[str, str], ...]
    op: str
    limit: float
    unit: Unit

    def holds(self, observed: float) -> bool:
        """Say whether an observed number, in the objective's unit, meets the limit."""
        return COMPARISONS[self.op](observed, self.limit)


COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}

UPLOAD_LABELS = ("experiment", "rse")
EXPERIMENT_LABELS = ("experiment",)
LINK_LABELS = ("src", "dst")

# A metric of counts, the units it may be written in, and the labels it takes.
COUNTED: Mapping[str, tuple[tuple[Unit, ...], tuple[str, ...]]] = {
    "upload.success": ((Unit.RATIO,), UPLOAD_LABELS),
    "upload.count": ((Unit.COUNT,), UPLOAD_LABELS),
    "upload.failed": ((Unit.RATIO, Unit.COUNT), UPLOAD_LABELS),
    "upload.dropped": ((Unit.RATIO, Unit.COUNT), UPLOAD_LABELS),
    "upload.unknown": ((Unit.RATIO, Unit.COUNT), UPLOAD_LABELS),
    "files.registered": ((Unit.RATIO, Unit.COUNT), UPLOAD_LABELS),
    "dataset.closed": ((Unit.RATIO, Unit.COUNT), EXPERIMENT_LABELS),
    "rule.success": ((Unit.RATIO,), EXPERIMENT_LABELS),
    "rule.count": ((Unit.COUNT,), EXPERIMENT_LABELS),
    "rule.stuck": ((Unit.RATIO, Unit.COUNT), EXPERIMENT_LABELS),
    "transfer.success": ((Unit.RATIO,), LINK_LABELS),
    "transfer.count": ((Unit.COUNT,), LINK_LABELS),
    "transfer.failed": ((Unit.RATIO, Unit.COUNT), LINK_LABELS),
}

# A metric of durations, the phase whose values it takes, and the labels it takes.
TIMED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "upload.lateness": ("upload.lateness", UPLOAD_LABELS),
    "upload.duration": ("upload.total", UPLOAD_LABELS),
    "upload.put": ("upload.put", UPLOAD_LABELS),
    "upload.register": ("upload.register", UPLOAD_LABELS),
    "register": ("upload.register", UPLOAD_LABELS),
    "rule.add": ("rule.add", EXPERIMENT_LABELS),
    "rule.time_to_ok": ("rule.time_to_ok", EXPERIMENT_LABELS),
    "transfer.queued": ("transfer.queued", LINK_LABELS),
    "transfer.waiting": ("transfer.waiting", LINK_LABELS),
    "transfer.copy": ("transfer.copy", LINK_LABELS),
    "transfer.duration": ("transfer.total", LINK_LABELS),
}

# Metrics that an audit counts, all of them counts without labels.
AUDITED = ("lost", "dark", "wrong", "unrecorded")

EXAMPLE = "write for example 'upload.success >= 99.5%' or 'upload.lateness.p99 <= 2s'"
SENTENCE = re.compile(
    r"\s*(?P<metric>[A-Za-z_][\w.]*)\s*(?:\{(?P<labels>[^{}]*)\})?"
    r"\s*(?P<op>>=|<=|==|>|<)\s*(?P<limit>[^\s<>=].*?)\s*"
)
TIMED_METRIC = re.compile(r"(?P<base>[a-z_.]+?)\.(?:max|p(?P<percent>[1-9]\d?(?:\.\d+)?))")
NUMBER = re.compile(r"\d[\d_]*(\.\d+)?")


def parse_objective(text: str, experiments: Collection[str]) -> Objective:
    """Read ``METRIC[{label=value,…}] OP NUMBER[unit]``.

    Raises ValueError, with what to write instead, when a metric, a label, an experiment, an operator or
    a unit is not known or the unit does not suit the metric.
    """
    sentence = SENTENCE.fullmatch(text)
    if sentence is None:
        raise ValueError(f"{text!r} is not METRIC OP NUMBER, with OP one of >= <= > < == ({EXAMPLE})")
    metric = sentence["metric"]
    units, known_labels = _metric(metric)
    labels = _labels(metric, sentence["labels"], known_labels, experiments)
    limit, unit = _limit(metric, sentence["limit"], units)
    return Objective(text.strip(), metric, labels, sentence["op"], limit, unit)


def needs_audit(objectives: Iterable[str], experiments: Collection[str]) -> bool:
    """Say whether one of the objectives is on what an audit counts."""
    return any(parse_objective(text, experiments).metric in AUDITED for text in objectives)


def quantile_of(metric: str) -> tuple[str, float] | None:
    """Split a metric of durations into its phase and quantile (1 for max), None if it is not one."""
    match = TIMED_METRIC.fullmatch(metric)
    if match is None or match["base"] not in TIMED:
        return None
    return TIMED[match["base"]][0], float(match["percent"]) / 100 if match["percent"] else 1.0


def _metric(metric: str) -> tuple[tuple[Unit, ...], tuple[str, ...]]:
    if metric in AUDITED:
        return (Unit.COUNT,), ()
    if metric in COUNTED:
        return COUNTED[metric]
    timed = TIMED_METRIC.fullmatch(metric)
    if timed is not None and timed["base"] in TIMED:
        return (Unit.SECONDS,), TIMED[timed["base"]][1]
    if metric in TIMED:
        raise ValueError(
            f"{metric}: say which percentile ({metric}.p50, {metric}.p95, {metric}.p99, {metric}.max)"
        )
    spelled = [
        *AUDITED,
        *COUNTED,
        *(f"{base}.{last}" for base in TIMED for last in ("p50", "p95", "p99", "max")),
    ]
    raise ValueError(f"unknown metric {metric!r}{_suggest(metric, spelled)}")


def _labels(
    metric: str, text: str | None, known: tuple[str, ...], experiments: Collection[str]
) -> tuple[tuple[str, str], ...]:
    if text is None:
        return ()
    if not known:
        raise ValueError(f"{metric}: it is counted over the whole run (write it without {{{text}}})")
    labels: dict[str, str] = {}
    for part in text.split(","):
        label, equals, value = (piece.strip() for piece in part.partition("="))
        value = value.strip("\"'")
        if not equals or not value:
            raise ValueError(f"{metric}: {part.strip()!r} is not label=value (write {known[0]}=NAME)")
        if label not in known:
            raise ValueError(
                f"{metric}: unknown label {label!r}{_suggest(label, known)}; it takes {', '.join(known)}"
            )
        if label in labels:
            raise ValueError(f"{metric}: label {label!r} is given twice (write it once)")
        if label == "experiment" and value not in experiments:
            raise ValueError(f"{metric}: there is no experiment {value!r}{_suggest(value, experiments)}")
        labels[label] = value
    return tuple(sorted(labels.items()))


def _limit(metric: str, text: str, units: Collection[Unit]) -> tuple[float, Unit]:
    """Read a number and settle its unit: a ratio is kept as 0 to 1, a duration in seconds."""
    if Unit.SECONDS in units:
        return _seconds(metric, text), Unit.SECONDS
    number = text.removesuffix("%").rstrip()
    if not NUMBER.fullmatch(number):
        wanted = " or ".join(
            "a percentage such as 99.5%" if unit == Unit.RATIO else "a count such as 100" for unit in units
        )
        raise ValueError(f"{metric}: {text!r} is not a number it can have (write {wanted})")
    value = Decimal(number)
    if text.endswith("%"):
        if Unit.RATIO not in units:
            raise ValueError(f"{metric}: it is a count, not a percentage (write {number})")
        if value > 100:
            raise ValueError(f"{metric}: {text} can never be reached (write 100% at most)")
        return float(value / 100), Unit.RATIO
    if Unit.COUNT not in units:
        raise ValueError(f"{metric}: it is a percentage (write {number}%)")
    return float(value), Unit.COUNT


def _seconds(metric: str, text: str) -> float:
    if NUMBER.fullmatch(text) and float(text.replace("_", "")) != 0:
        raise ValueError(f"{metric}: {text} of what? (write {text}s or {text}m)")
    if NUMBER.fullmatch(text):
        return 0.0
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ValueError(f"{metric}: {error}") from error


def _suggest(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    if close:
        return f" (did you mean {close[0]!r}?)"
    return f" (known: {', '.join(sorted(known))})"
