"""The numbers of a run are what a person would count, and never more than happened."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdr.fold import fold
from fdr.folds.failures import MAX_GROUPS, countable
from fdr.journal.schema import TABLES
from fdr.metrics import Metrics, Planned, PlannedExperiment
from fdr.model import (
    Did,
    Ending,
    Event,
    GeneratorUsage,
    Intention,
    Kind,
    Note,
    Outcome,
    RseUsage,
    RuleSeen,
    ServiceSample,
    TransferSeen,
)
from fdr.percentiles import needed_sample, percentile, summarize
from tests.made_up_run import BEGIN, EXPERIMENTS, STARTED, make_up

PLANNED = Planned({"CTA": PlannedExperiment(10, 100, 1, 1)})
runs = st.builds(make_up, st.integers(0, 10**6), st.just(60), st.just(10), st.floats(0, 1))


def upload(action: int, due: float = BEGIN, rse: str = "SITE-A") -> Intention:
    return Intention(action, Kind.UPLOAD, "CTA", 0, Did("cta", f"f{action}"), rse, 10, due)


def put(action: int, ending: Ending = Ending.OK, begun: float = BEGIN, ended: float = BEGIN + 1) -> Outcome:
    return Outcome(action, "put", begun, ended, ending, "" if ending is Ending.OK else "no-space")


def register(action: int, ending: Ending = Ending.OK, ended: float = BEGIN + 2) -> Outcome:
    return Outcome(action, "register", BEGIN + 1, ended, ending, "" if ending is Ending.OK else "timeout")


def transfer(number: int, start: float | None, end: float | None, *, done: bool = True) -> TransferSeen:
    return TransferSeen(
        BEGIN + 99, done, f"request{number}", Did("cta", f"f{number}"), "SITE-A", "SITE-B", 1000, "", "root",
        BEGIN, BEGIN + 1, start, end, "" if done else f"[111] no answer of root://a:1094/f{number}",
    )  # fmt: skip


def of(*events: Event) -> Metrics:
    return fold(STARTED, PLANNED, events)


@settings(max_examples=30, deadline=None)
@given(run=runs)
def test_counts_are_those_that_the_story_teller_kept(run) -> None:
    """Files, rules and transfers are counted as they were made up."""
    metrics = fold(run.started, run.planned, run.events)
    for name in EXPERIMENTS:
        found = metrics.experiments[name]
        counted = {
            "ok": found.files.ok,
            "failed": found.files.failed,
            "unknown": found.files.unknown,
            "dropped": found.files.dropped,
        }
        assert counted == {ending: run.files[name, ending] for ending in counted}
        assert found.files.bytes_ok == found.files.ok * 1_000_000
        assert found.rules.ok == run.rules[name, "ok"]
        assert found.rules.stuck == run.rules[name, "stuck"]
        assert found.rules.failed == run.rules[name, "failed"]
        assert found.rules.added == found.rules.ok + found.rules.stuck + found.rules.replicating
    assert sum(link.done for link in metrics.links) == run.transfers["done"]
    assert sum(link.failed for link in metrics.links) == run.transfers["failed"]


@settings(max_examples=60, deadline=None)
@given(run=runs, share=st.floats(0, 1))
def test_a_cut_history_never_claims_more_than_the_whole(run, share: float) -> None:
    """Whatever prefix of a run the journal holds, no good count is greater than at its end."""
    whole = fold(run.started, run.planned, run.events)
    cut = fold(run.started, run.planned, run.events[: int(len(run.events) * share)])
    for name in EXPERIMENTS:
        less, more = cut.experiments[name], whole.experiments[name]
        assert less.files.ok <= more.files.ok
        assert less.files.registered <= more.files.registered
        assert less.files.bytes_ok <= more.files.bytes_ok
        assert less.datasets_closed <= more.datasets_closed
        assert less.rules.added <= more.rules.added
        assert less.rules.ok <= more.rules.ok
        ended = less.files.ok + less.files.failed + less.files.unknown + less.files.dropped
        assert ended == less.files.intended
        assert ended + less.files_not_reached == less.planned.files
    assert sum(link.done for link in cut.links) <= sum(link.done for link in whole.links)


@settings(max_examples=20, deadline=None)
@given(run=runs)
def test_reading_table_by_table_gives_the_same_numbers(run) -> None:
    """A journal is read table by table; the numbers are those of the order in which things happened."""
    rank = {table.event: number for number, table in enumerate(TABLES)}
    by_table = sorted(run.events, key=lambda event: rank[type(event)])
    told = fold(run.started, run.planned, run.events)
    again = fold(run.started, run.planned, by_table)
    assert repr(again) == repr(told)
    for phase in {piece.phase for piece in told.slices}:
        assert again.summary(phase) == told.summary(phase)


@pytest.mark.parametrize(
    ("events", "where"),
    [
        ([put(1), register(1)], "ok"),
        ([put(1, Ending.FAILED)], "put_failed"),
        ([put(1), register(1, Ending.FAILED)], "register_failed"),
        ([put(1, Ending.DROPPED)], "dropped"),
        ([], "unknown"),
        ([put(1)], "unknown"),
        ([put(1, Ending.UNKNOWN)], "unknown"),
        ([put(1), register(1, Ending.UNKNOWN)], "unknown"),
        ([put(1, Ending.FAILED), put(1), register(1)], "ok"),
        ([put(1), register(1, Ending.UNKNOWN), register(1)], "ok"),
    ],
)
def test_every_upload_has_exactly_one_end(events: list[Event], where: str) -> None:
    """Each history of a file is counted once, under the end that the last outcome of each step settles."""
    counts = of(upload(1), *events).experiments["CTA"].files
    ends = ("ok", "put_failed", "register_failed", "dropped", "unknown")
    assert {end: getattr(counts, end) for end in ends} == {end: int(end == where) for end in ends}
    assert counts.registered == int(where == "ok")


def test_what_has_no_intention_is_not_counted() -> None:
    """An outcome without its intention cannot be attributed, and adds nothing."""
    files = of(put(7), register(7)).experiments["CTA"].files
    assert (files.intended, files.ok, files.registered) == (0, 0, 0)


def test_an_intention_told_twice_is_one_file() -> None:
    """Doing a file again after a crash neither doubles it nor makes it due later."""
    metrics = of(
        upload(1, BEGIN), upload(1, BEGIN + 50), put(1, begun=BEGIN + 51, ended=BEGIN + 52), register(1)
    )
    assert metrics.experiments["CTA"].files.ok == 1
    assert metrics.summary("upload.lateness").max == 51


def test_phases_of_an_upload_count_from_where_they_say() -> None:
    """Lateness and total count from the due time, put and register from their own beginnings."""
    events = (
        upload(1, BEGIN),
        put(1, Ending.FAILED, BEGIN + 1, BEGIN + 3),
        put(1, Ending.OK, BEGIN + 4, BEGIN + 6),
        Outcome(1, "register", BEGIN + 6, BEGIN + 9, Ending.OK),
    )
    metrics = of(*events)
    found = {
        phase: metrics.summary(phase).max
        for phase in ("upload.lateness", "upload.put", "upload.register", "upload.total")
    }
    assert found == {"upload.lateness": 1, "upload.put": 2, "upload.register": 3, "upload.total": 9}


def test_a_dropped_file_has_no_lateness() -> None:
    """What was never started was not late: it is counted as dropped instead."""
    metrics = of(upload(1), put(1, Ending.DROPPED))
    assert metrics.summary("upload.lateness").sample == 0


def rule_events(*seen: RuleSeen) -> list[Event]:
    return [
        Intention(5, Kind.RULE, "CTA", 0, Did("cta", "ds"), "QOS=SAFE", 0, BEGIN),
        Outcome(5, "rule", BEGIN + 1, BEGIN + 2, Ending.OK, detail="rule1"),
        *seen,
    ]


@pytest.mark.parametrize(
    ("state", "where"),
    [
        ("OK", "ok"),
        ("REPLICATING", "replicating"),
        ("INJECT", "replicating"),
        ("STUCK", "stuck"),
        ("SUSPENDED", "stuck"),
        ("WAITING_APPROVAL", "stuck"),
    ],
)
def test_the_last_state_seen_says_where_a_rule_stands(state: str, where: str) -> None:
    """Every state that Rucio gives a rule is one of ok, replicating and stuck."""
    events = rule_events(
        RuleSeen(BEGIN + 3, "rule1", "REPLICATING", 0, 3, 0), RuleSeen(BEGIN + 4, "rule1", state, 3, 0, 0)
    )
    rules = of(*events).experiments["CTA"].rules
    assert {name: getattr(rules, name) for name in ("ok", "replicating", "stuck")} == {
        name: int(name == where) for name in ("ok", "replicating", "stuck")
    }


def test_a_rule_never_seen_is_not_ok() -> None:
    """A rule that was added and that Rucio told nothing of counts as replicating."""
    rules = of(*rule_events()).experiments["CTA"].rules
    assert (rules.added, rules.ok, rules.replicating) == (1, 0, 1)


def test_time_to_ok_is_that_of_the_locks_the_rule_came_to_have() -> None:
    """OK on an empty dataset says nothing; the time counts to OK with all the locks there ever were."""
    empty = RuleSeen(BEGIN + 2, "rule1", "OK", 0, 0, 0)
    metrics = of(*rule_events(empty))
    assert metrics.summary("rule.time_to_ok").sample == 0
    some, all_of_them = (
        RuleSeen(BEGIN + 9, "rule1", "OK", 3, 0, 0),
        RuleSeen(BEGIN + 21, "rule1", "OK", 8, 0, 0),
    )
    again = RuleSeen(BEGIN + 30, "rule1", "OK", 8, 0, 0)
    assert of(*rule_events(empty, some, all_of_them, again)).summary("rule.time_to_ok").max == 20
    back = RuleSeen(BEGIN + 40, "rule1", "STUCK", 7, 0, 1)
    assert of(*rule_events(empty, some, all_of_them, back)).summary("rule.time_to_ok").sample == 0


def test_a_link_is_as_fast_as_while_it_was_busy() -> None:
    """Bytes per second are bytes over the time in which at least one copy was going on."""
    overlapping = [transfer(1, BEGIN, BEGIN + 4), transfer(2, BEGIN + 2, BEGIN + 6)]
    apart = transfer(3, BEGIN + 10, BEGIN + 12)
    (link,) = of(*overlapping, apart).links
    assert (link.done, link.bytes) == (3, 3000)
    assert link.bytes_per_second == pytest.approx(3000 / 8)


@given(
    spans=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), min_size=1, max_size=12),
)
def test_busy_time_is_the_union_of_the_copies(spans: list[tuple[int, int]]) -> None:
    """Seconds of which some copy was going on, counted one by one, are the busy time."""
    busy = len({second for start, length in spans for second in range(start, start + length)})
    (link,) = of(
        *(
            transfer(number, BEGIN + start, BEGIN + start + length)
            for number, (start, length) in enumerate(spans)
        )
    ).links
    if busy == 0:
        assert link.bytes_per_second is None
    else:
        assert link.bytes_per_second == pytest.approx(1000 * len(spans) / busy)


def test_a_link_whose_times_are_not_told_has_no_speed() -> None:
    """Where FTS told no times, or less than a second, the speed is not made up."""
    (link,) = of(transfer(1, None, None)).links
    assert (link.bytes, link.bytes_per_second) == (1000, None)
    (link,) = of(transfer(1, BEGIN, BEGIN)).links
    assert link.bytes_per_second is None


def test_a_transfer_told_twice_is_counted_once() -> None:
    """A broker may deliver an event again; the request was done once."""
    seen = transfer(1, BEGIN, BEGIN + 4)
    metrics = of(seen, seen)
    assert metrics.links[0].done == 1
    assert metrics.summary("transfer.copy").sample == 1


def test_failures_of_one_kind_are_one_line() -> None:
    """Addresses and numbers do not make a reason of their own; codes in brackets stay."""
    metrics = of(*(transfer(number, None, None, done=False) for number in range(30)))
    (failure,) = metrics.failures
    assert (failure.operation, failure.count) == ("transfer", 30)
    assert failure.reason == "[111] no answer of URL"
    assert "root://a:1094/f0" in failure.example


def test_reasons_without_end_become_other() -> None:
    """Each failure with a text of its own does not eat the memory: beyond a bound it is other."""
    outcomes = [
        Outcome(number, "put", BEGIN, BEGIN, Ending.FAILED, f"reason-{number}") for number in range(500)
    ]
    failures = of(*outcomes).failures
    assert len(failures) <= MAX_GROUPS + 1
    assert Counter({failure.reason: failure.count for failure in failures})["other"] == 500 - MAX_GROUPS
    assert sum(failure.count for failure in failures) == 500


def test_an_empty_reason_still_counts() -> None:
    """A failure without a word is counted under words that say so."""
    assert countable("  ") == "no reason told"


def test_services_have_means_peaks_and_the_restarts_of_the_run() -> None:
    """Restarts are told since the run began; the last sample has them all."""
    metrics = of(
        ServiceSample(BEGIN, "fts", 0.5, 100, 0),
        ServiceSample(BEGIN + 5, "fts", 1.5, 300, 1),
        RseUsage(BEGIN, "SITE-A", 50, 1),
        RseUsage(BEGIN + 5, "SITE-A", 40, 1),
        GeneratorUsage(BEGIN + 5, 1.5, 999, 7),
    )
    (use,) = metrics.services
    assert (use.cpu_mean, use.cpu_peak, use.memory_mean, use.memory_peak, use.restarts) == (
        1,
        1.5,
        200,
        300,
        1,
    )
    assert metrics.rse_used_peak == {"SITE-A": 50}
    assert metrics.generator.requests == 7


def test_a_journal_that_stops_has_no_end() -> None:
    """Without the note that the run ended there is no end, only the last moment told."""
    metrics = of(upload(1), put(1, ended=BEGIN + 7))
    assert (metrics.ended_at, metrics.last_at, metrics.is_complete) == (None, BEGIN + 7, False)
    assert of(Note(BEGIN + 9, "ended")).is_complete
    assert not of(Note(BEGIN + 8, "interrupted"), Note(BEGIN + 9, "ended")).is_complete


@given(span=st.floats(0, 10**6), count=st.integers(1, 40), seed=st.integers(0, 1000))
def test_a_timeline_holds_every_file_in_few_buckets(span: float, count: int, seed: int) -> None:
    """However long a run, its time line has 120 buckets at most and loses no file."""
    draw = random.Random(seed)
    events: list[Event] = [upload(number, BEGIN + draw.random() * span) for number in range(count)]
    events += [put(number) for number in range(count)]
    events += [register(number, ended=BEGIN + span) for number in range(count)]
    line = of(*events).timeline
    assert sum(line.due["CTA"]) == sum(line.registered["CTA"]) == count
    assert len(line.due["CTA"]) <= 120


@pytest.mark.parametrize(
    ("quantile", "needed"), [(0.5, 2), (0.9, 10), (0.95, 20), (0.99, 100), (0.999, 1000), (1, 1)]
)
def test_a_percentile_needs_a_sample_that_carries_it(quantile: float, needed: int) -> None:
    """With one value fewer than 1 / (1 - q) the percentile would be the maximum, and is not told."""
    assert needed_sample(quantile) == needed
    values = [float(number) for number in range(needed)]
    assert percentile(values, quantile) is not None
    assert percentile(values[1:], quantile) is None


@given(values=st.lists(st.floats(0, 1e6), min_size=100, max_size=300))
def test_percentiles_are_measured_values_in_order(values: list[float]) -> None:
    """p50 <= p95 <= p99 <= max; each was measured, and that share of the values does not exceed it."""
    ordered = sorted(values)
    summary = summarize(ordered)
    told = [summary.p50, summary.p95, summary.p99, summary.max]
    assert told == sorted(told)
    assert set(told) <= set(values)
    for quantile, value in zip((0.5, 0.95, 0.99), told[:3], strict=True):
        assert sum(other <= value for other in values) >= quantile * len(values) - 1e-9
        assert sum(other < value for other in values) < quantile * len(values) + 1e-9
