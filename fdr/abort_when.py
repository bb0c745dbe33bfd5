"""What a sentence of ``limits.abort_when`` says: a limit on one number of the last minutes. Pure."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fdr.objectives import COUNTED, TIMED, Objective, Unit, parse_objective, quantile_of
from fdr.percentiles import needed_sample
from fdr.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Collection

MIN_SAMPLE = 20  # what a ratio or a percentile rests on at least, so that the first failed file ends nothing
MIN_OVER_S, MAX_OVER_S = 1.0, 7 * 86400.0
COUNTS: tuple[str, ...] = (
    "upload.success",
    "upload.failed",
    "upload.dropped",
    "upload.unknown",
    "transfer.success",
    "transfer.failed",
    "rule.stuck",
)
TIMES = tuple(base for base in TIMED if base.startswith(("upload.", "transfer.")) or base == "register")
EXAMPLE = "write for example 'upload.success < 80% over 5m'"
SENTENCE = re.compile(r"(?P<limit>.*\S)\s+over\s+(?P<over>\S.*?)\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class AbortWhen:
    """A limit that ends a run when it holds for what happened in the last ``over_s`` wall-clock seconds."""

    text: str
    limit: Objective
    over_s: float

    @property
    def needed(self) -> int:
        """How many things must have been measured in that time before the limit is looked at.

        A count needs none besides what it counts.
        """
        timed = quantile_of(self.limit.metric)
        if timed is not None:
            return max(MIN_SAMPLE, needed_sample(timed[1]))
        return MIN_SAMPLE if self.limit.unit is Unit.RATIO else 0


def parse_abort_when(text: str, experiments: Collection[str]) -> AbortWhen:
    """Read ``METRIC[{label=value,…}] OP NUMBER[unit] over DURATION``.

    Raises ValueError, with what to write instead, where an objective would, when the metric cannot be told
    of a stretch of time, and when a run in which all goes well would be ended.
    """
    sentence = SENTENCE.fullmatch(text)
    if sentence is None:
        raise ValueError(f"{text!r} does not say over how long ({EXAMPLE})")
    limit = parse_objective(sentence["limit"], experiments)
    over_s = _over(sentence["over"])
    _check_metric(limit)
    ideal = 1.0 if limit.metric.endswith(".success") else 0.0
    if limit.holds(ideal):
        raise ValueError(f"{limit.text}: would end a run in which all goes well ({EXAMPLE})")
    return AbortWhen(text.strip(), limit, over_s)


def _over(text: str) -> float:
    over_s = parse_duration(text)
    if not MIN_OVER_S <= over_s <= MAX_OVER_S:
        raise ValueError(f"over {text}: is out of range (write 1s to 7d)")
    return over_s


def _check_metric(limit: Objective) -> None:
    """Refuse a metric that is known to objectives but is not one of a stretch of time."""
    metric = limit.metric
    if metric == "rule.stuck" and limit.unit is Unit.RATIO:
        raise ValueError(f"{metric}: over a time it is a count (write for example 'rule.stuck > 5 over 10m')")
    last = metric.rpartition(".")[2]
    known = COUNTS if metric in COUNTED else tuple(f"{name}.{last}" for name in TIMES)
    if metric not in known:
        close = difflib.get_close_matches(metric, known, n=1, cutoff=0.6)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
        raise ValueError(f"{metric}: is a number of a whole run, not of a time ({hint})")
