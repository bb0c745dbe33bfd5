"""How the numbers of a report are written for people. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fdr.units import format_duration, format_size

if TYPE_CHECKING:
    from collections.abc import Iterable

NOTHING = "-"  # ASCII: a terminal may know no more

PHASES = {
    "upload.lateness": "start of a file after it was due",
    "upload.put": "bytes to the storage",
    "upload.register": "registration in Rucio, with the wait for its group",
    "upload.total": "file due to file registered",
    "rule.add": "call that adds a rule",
    "rule.time_to_ok": "rule added to rule OK",
    "transfer.queued": "transfer created to submitted (Rucio)",
    "transfer.waiting": "transfer submitted to started (FTS)",
    "transfer.copy": "copy between storages",
    "transfer.total": "transfer created to copied",
}
SHORTFALLS = {
    "dropped": "dropped: never started",
    "storage": "the storage failed",
    "registration": "registration failed",
    "unknown": "unknown: may have happened",
    "not_reached": "not reached by the run",
}


def number(value: float | None) -> str:
    """Write a count with its thousands apart."""
    return NOTHING if value is None else f"{value:,.0f}"


def size(value: float | None) -> str:
    """Write bytes."""
    return NOTHING if value is None else format_size(value)


def duration(value: float | None) -> str:
    """Write seconds."""
    if value is None:
        return NOTHING
    return f"-{format_duration(-value)}" if value < 0 else format_duration(value)


def speed(value: float | None) -> str:
    """Write bytes per second."""
    return NOTHING if value is None else f"{format_size(value)}/s"


def cores(value: float | None) -> str:
    """Write a share of CPU cores."""
    return NOTHING if value is None else f"{value:.2f}"


def share(part: float, whole: float) -> str:
    """Write a part of a whole as a percentage that says 100 % only if nothing is missing."""
    if whole == 0:
        return NOTHING
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "<0.1 %"
    if 99.9 < percent < 100:
        return ">99.9 %"
    return f"{percent:.0f} %" if percent in {0, 100} else f"{percent:.1f} %"


def observed(value: float | None, unit: str) -> str:
    """Write what an objective observed, in its unit, with the digits that decide."""
    if value is None:
        return NOTHING
    if unit == "ratio":
        # Cut, not rounded: 99.49999 % must not be written as the 99.5 % that was asked for.
        percent = math.floor(round(value * 1e6, 3)) / 1e4
        return f"{percent:.4f}".rstrip("0").rstrip(".") + " %"
    return duration(value) if unit == "s" else number(value)


def moment(text: str | None) -> str:
    """Write an ISO moment for people, in UTC to the second."""
    return NOTHING if text is None else f"{text[:10]} {text[11:19]} UTC"


def clock(text: str | None) -> str:
    """Write the time of day of an ISO moment."""
    return NOTHING if text is None else text[11:19]


def reasons(report: dict[str, Any]) -> list[str]:
    """Return, in sentences without a full stop, what the verdict rests on and how the run ended."""
    verdicts = [objective["verdict"] for objective in report["objectives"]]
    said = [
        f"{verdicts.count(verdict)} of {len(verdicts)} objectives {words}"
        for verdict, words in (("fail", "failed"), ("inconclusive", "could not be decided"))
        if verdict in verdicts
    ]
    if verdicts and not said:
        said.append(f"all {len(verdicts)} objectives passed" if len(verdicts) > 1 else "its objective passed")
    status = report["run"]["status"]
    return [*said, status, *(doubt for doubt in report["doubts"] if doubt not in status)]


def verdict(report: dict[str, Any]) -> str:
    """Write the verdict in one line, with what it rests on."""
    return f"Verdict: {report['verdict'].upper()} ({'; '.join(reasons(report))})"


def audit(found: dict[str, Any] | None) -> str:
    """Write what an audit came to as one sentence without a full stop."""
    if found is None:
        return "not audited: fdr audit holds the journal against Rucio and the storages"
    counts = ", ".join(f"{number(found[name])} {name}" for name in ("lost", "dark", "wrong", "unrecorded"))
    unseen = f"; {number(found['unseen'])} copies could not be looked at" if found["unseen"] else ""
    looked = f"{number(found['files'])} files, {number(found['copies'])} copies"
    return f"audited {moment(found['at'])}, {looked}: {counts}{unseen}"


def generator(used: dict[str, Any]) -> str:
    """Write what fdr itself did and used as one sentence without a full stop."""
    late = [duration(used[key]) for key in ("lateness_p99", "lateness_max")]
    return (
        f"fdr itself: lateness p99 {late[0]}, max {late[1]};"
        f" {duration(used['cpu_seconds'])} CPU, {size(used['memory_peak'])} memory,"
        f" {number(used['requests'])} requests to Rucio"
    )


def sentences(parts: Iterable[str]) -> str:
    """Write parts as sentences."""
    return " ".join(f"{part[0].upper()}{part[1:]}." for part in parts)
