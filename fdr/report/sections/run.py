"""What ran, when, and whether it came to its end. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fdr.model import CLEANED, CLEANING
from fdr.report.facts import timestamp
from fdr.units import format_duration

if TYPE_CHECKING:
    from fdr.metrics import Metrics
    from fdr.report.facts import Facts

HOW_IT_ENDED = {
    "interrupted": "the run was interrupted",
    "limit": "the run stopped at a limit",
    "cancelled": "what rules had not done yet was cancelled",
    "grace-over": "rules were still open when the grace period was over",
    "outage": "Rucio was out, and what waited for it is late",
    "samples-lost": "some samples could not be taken",
    "events-lost": "transfer events were lost, so transfers are counted too low",
}


def section(facts: Facts) -> dict[str, Any]:
    """Return the head of the run, its end in words, and the moments it noted."""
    metrics = facts.metrics
    started = metrics.started
    return {
        "id": started.run,
        "scenario": started.scenario,
        "seed": started.seed,
        "plan_digest": started.plan_digest,
        "scale": started.scale,
        "size_scale": started.size_scale,
        "speed": started.speed,
        "started_at": timestamp(started.started_at),
        "ended_at": timestamp(metrics.ended_at),
        "ended": metrics.ended_at is not None,
        "last_event_at": timestamp(metrics.last_at),
        "sessions": [
            {
                "begun_at": timestamp(session.begun_at),
                "last_at": timestamp(session.last_at),
                "ended": session.ended,
            }
            for session in metrics.sessions
        ],
        "status": status(metrics),
        "fdr_version": started.fdr_version,
        "rucio_version": started.rucio_version,
        "lake": started.lake,
        "copy_mode": started.copy_mode,
        "notes": [{"at": timestamp(note.at), "kind": note.kind, "text": note.text} for note in metrics.notes],
    }


def status(metrics: Metrics) -> str:
    """Say in one sentence how the run ended, or that it did not, and whether it was removed since."""
    return "; ".join(part for part in (_end(metrics), _removal(metrics)) if part)


def _end(metrics: Metrics) -> str:
    if metrics.ended_at is None:
        return f"the run did not end: the journal stops at {timestamp(metrics.last_at)}"
    said = []
    for kind, sentence in HOW_IT_ENDED.items():
        texts = dict.fromkeys(note.text for note in metrics.noted(kind) if note.text)
        if metrics.noted(kind):
            said.append(f"{sentence} ({'; '.join(list(texts)[:3])})" if texts else sentence)
    return "; ".join([*said, *_gaps(metrics)]) or "the run came to its end"


def _gaps(metrics: Metrics) -> list[str]:
    """Say, of a run that was resumed, how long nobody worked on it."""
    gaps = [
        after.begun_at - before.last_at
        for before, after in zip(metrics.sessions, metrics.sessions[1:], strict=False)
    ]
    if not gaps:
        return []
    times = "once" if len(gaps) == 1 else f"{len(gaps)} times"
    died = sum(not session.ended for session in metrics.sessions[:-1])
    crashes = {0: "", 1: ", after a crash"}.get(died, f", after {died} crashes")
    idle = format_duration(round(sum(gaps), 1))
    return [f"it was resumed {times}{crashes}, and stood still for {idle} in all"]


def _removal(metrics: Metrics) -> str:
    if cleaned := metrics.noted(CLEANED):
        return f"all that it made has been removed from the lake since, by {timestamp(cleaned[0].at)}"
    if cleaning := metrics.noted(CLEANING):
        return f"its removal from the lake began at {timestamp(cleaning[0].at)} and was not completed"
    return ""
