"""The numbers of a pass of noise, as Prometheus takes them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from fdr.exposition import Gauges
from fdr.noise.pair import State
from fdr.noise.result import Result

JOB = "fdr_noise"
LEFT_KINDS = ("rule", "dataset", "file", "replica", "stored", "unseen")


def numbers(result: Result, exit_code: int) -> CollectorRegistry:
    """Return the numbers of a pass; those of pairs that were skipped are absent."""
    gauges = _of_any_pass(result.lake, result.ended_at, exit_code)
    tried = [pair for pair in result.pairs if pair.state is not State.SKIPPED]
    pair_key = [((pair.src, pair.dst), pair) for pair in tried]
    gauges.each(
        "pair_ok",
        "Whether the rule from one RSE to another was OK in time, 1 or 0; skipped pairs are absent.",
        ("src", "dst"),
        ((key, float(pair.state is State.OK)) for key, pair in pair_key),
    )
    gauges.each(
        "pair_duration_seconds",
        "How long a rule took from when it was asked for until it was seen OK; others are absent.",
        ("src", "dst"),
        ((key, pair.duration_s) for key, pair in pair_key if pair.duration_s is not None),
    )
    gauges.each(
        "pairs",
        "How many pairs of RSEs the last pass left in each state.",
        ("state",),
        (((state.value,), result.counts[state]) for state in State),
    )
    gauges.each(
        "upload_duration_seconds",
        "How long a file took to be put at an RSE, the longest of them.",
        ("src",),
        (((rse,), seconds) for rse, seconds in result.put_s.items()),
    )
    gauges.each(
        "rse_skipped",
        "Whether an RSE was left out as a source of copies or as a destination, as it is not available.",
        ("rse", "role"),
        (
            ((part.rse, role), float(bool(why)))
            for part in result.parts
            for role, why in (("source", part.no_source), ("destination", part.no_destination))
        ),
    )
    gauges.each(
        "rse_down",
        "Whether a small file could not be put at an RSE that is available for writing.",
        ("rse",),
        (((part.rse,), float(bool(part.down))) for part in result.parts if not part.no_destination),
    )
    gauges.set("file_size_bytes", "The size of a file of the last pass.", result.recipe.size_bytes)
    took_s = result.known_at - result.started_at
    gauges.set("pass_duration_seconds", "How long the last pass took until all was known.", took_s)
    cleaning_s = result.ended_at - result.known_at
    gauges.set("cleaning_duration_seconds", "How long cleaning took after it.", cleaning_s)
    if result.left is not None:
        left = result.left
        gauges.each(
            "left",
            "How many things of the last pass were still on the lake when it ended, by kind.",
            ("kind",),
            (((kind,), left.get(kind, 0)) for kind in LEFT_KINDS),
        )
    return gauges.registry


def numbers_of_none(lake: str, ended_at: float, exit_code: int) -> CollectorRegistry:
    """Return the numbers where no pass could be made, as Rucio was away."""
    return _of_any_pass(lake, ended_at, exit_code).registry


def _of_any_pass(lake: str, ended_at: float, exit_code: int) -> Gauges:
    gauges = Gauges(JOB, lake)
    gauges.set("last_pass_timestamp_seconds", "When the last pass ended, in Unix seconds.", ended_at)
    gauges.set(
        "last_pass_exit_code",
        "How the last pass ended: 0 all pairs ok, 3 some failed, 4 not all known, 5 no lake.",
        exit_code,
    )
    return gauges
