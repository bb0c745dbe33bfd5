"""The numbers of a probe, as Prometheus takes them."""

from __future__ import annotations

from collections import Counter

from prometheus_client import CollectorRegistry

from fdr.exposition import Gauges
from fdr.probe.result import Result, State
from fdr.probe.site import DOING

JOB = "fdr_probe"


def numbers(result: Result) -> CollectorRegistry:
    """Return the numbers of a probe; those of steps and transfers that were skipped are absent."""
    gauges = _of_any(result.lake, result.ended_at, result.exit_code)
    steps = [
        ((row.rse, row.scheme, row.endpoint, name), step)
        for row, name, step in result.steps
        if step.state is not State.SKIPPED
    ]
    gauges.each(
        "step_ok",
        "Whether a step at a protocol of an RSE went well, 1 or 0; skipped ones are absent.",
        ("rse", "protocol", "endpoint", "step"),
        ((key, float(step.state is State.OK)) for key, step in steps),
    )
    gauges.each(
        "step_duration_seconds",
        "How long a step took that went well; others are absent.",
        ("rse", "protocol", "endpoint", "step"),
        ((key, step.duration_s or 0.0) for key, step in steps if step.state is State.OK),
    )
    copies = [((one.copy.src, one.copy.dst), one) for one in result.copies if one.state is not State.SKIPPED]
    gauges.each(
        "transfer_ok",
        "Whether FTS copied from one RSE to another in time, 1 or 0; skipped pairs are absent.",
        ("src", "dst"),
        ((key, float(one.state is State.OK)) for key, one in copies),
    )
    gauges.each(
        "transfer_duration_seconds",
        "How long a transfer took from its submission until it was seen to be finished; others are absent.",
        ("src", "dst"),
        ((key, one.duration_s or 0.0) for key, one in copies if one.state is State.OK),
    )
    _counts(
        gauges, "steps", "How many steps at storages the last probe left in each state.", result.step_counts
    )
    _counts(
        gauges, "transfers", "How many pairs of RSEs the last probe left in each state.", result.copy_counts
    )
    gauges.each(
        "rse_available",
        "Whether the availability of an RSE is on for an operation, 1 or 0.",
        ("rse", "operation"),
        (
            ((site.rse, operation), float(operation not in site.off))
            for site in result.sites
            if not site.missing
            for operation in DOING
        ),
    )
    gauges.each(
        "left",
        "How many things of this and earlier probes may still be there, by kind.",
        ("kind",),
        (((kind,), count + result.earlier_left.counts[kind]) for kind, count in result.left.counts.items()),
    )
    gauges.set("file_size_bytes", "The size of a file of the last probe.", result.asked.size_bytes)
    took_s = result.ended_at - result.started_at
    gauges.set("duration_seconds", "How long the last probe took, with taking away what it made.", took_s)
    return gauges.registry


def numbers_of_none(lake: str, ended_at: float, exit_code: int) -> CollectorRegistry:
    """Return the numbers where nothing could be probed, as Rucio was away."""
    return _of_any(lake, ended_at, exit_code).registry


def _counts(gauges: Gauges, name: str, text: str, counts: Counter[State]) -> None:
    gauges.each(name, text, ("state",), (((state.value,), counts[state]) for state in State))


def _of_any(lake: str, ended_at: float, exit_code: int) -> Gauges:
    gauges = Gauges(JOB, lake)
    gauges.set("last_timestamp_seconds", "When the last probe ended, in Unix seconds.", ended_at)
    gauges.set(
        "last_exit_code",
        "How the last probe ended: 0 all ok, 3 something failed, 4 nothing was tried, 5 no lake.",
        exit_code,
    )
    return gauges
