"""The sentences that end a run are read strictly, counted over the last minutes, and obeyed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fdr.abort
from fdr.abort import abort_when_due
from fdr.abort_when import MIN_SAMPLE, parse_abort_when
from fdr.changes import validate
from fdr.journal.writer import Journal
from fdr.model import (
    SETTLED,
    Did,
    Ending,
    Event,
    Intention,
    Kind,
    Outcome,
    RuleSeen,
    RunStarted,
    TransferSeen,
)
from fdr.objectives import COUNTED, TIMED
from fdr.recent import Recent
from fdr.scenario.lines import write_document
from fdr.stop import Stop
from fdr.window import BINS, SLOTS, Window, bin_of, quantile_of_bins
from tests.fakes.clock import FakeClock
from tests.small_scenario import load_value, small

EXPERIMENTS = ("CTA", "SKA")


@pytest.mark.parametrize(
    ("text", "over_s", "needed"),
    [
        ("upload.success < 80% over 5m", 300, MIN_SAMPLE),
        ("upload.failed{experiment=CTA,rse=A-ONE} >= 100 over 1h30m", 5400, 0),
        ("upload.lateness.p99 > 2s over 90s", 90, 100),
        ("upload.put.max > 2m over 10m", 600, MIN_SAMPLE),
        ("register.p50 > 10s over 1m", 60, MIN_SAMPLE),
        ("transfer.failed{src=A-ONE} > 20% over 10m", 600, MIN_SAMPLE),
        ("rule.stuck > 3 over 10m", 600, 0),
    ],
)
def test_a_sentence_is_an_objective_and_a_time(text: str, over_s: float, needed: int) -> None:
    """It says how far back it looks and how much it must have seen."""
    sentence = parse_abort_when(text, EXPERIMENTS)
    assert (sentence.text, sentence.over_s, sentence.needed) == (text, over_s, needed)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("upload.success < 80%", "does not say over how long"),
        ("upload.success < 80% over 5", "5 of what"),
        ("upload.success < 80% over 8d", "out of range"),
        ("upload.success < 80% over 500ms", "out of range"),
        ("upload.succes < 80% over 5m", "did you mean 'upload.success'"),
        ("upload.success{experiment=X} < 80% over 5m", "there is no experiment 'X'"),
        ("upload.lateness > 2s over 5m", "say which percentile"),
        ("rule.time_to_ok.p95 > 2m over 5m", "is a number of a whole run"),
        ("files.registered < 3 over 5m", "is a number of a whole run"),
        ("rule.stuck > 5% over 5m", "it is a count"),
        ("upload.success > 80% over 5m", "would end a run in which all goes well"),
        ("upload.failed >= 0 over 5m", "would end a run in which all goes well"),
        ("upload.lateness.p99 < 2s over 5m", "would end a run in which all goes well"),
    ],
)
def test_a_sentence_that_cannot_be_meant_is_refused(text: str, said: str) -> None:
    """The message says what to write instead."""
    with pytest.raises(ValueError, match=said):
        parse_abort_when(text, EXPERIMENTS)


@pytest.mark.parametrize("metric", [*COUNTED, *(f"{base}.p95" for base in TIMED)])
def test_every_metric_that_may_be_watched_is_counted(metric: str) -> None:
    """A sentence that is read is also told what happens: none is watched in vain."""
    limit = "< 50%" if metric.endswith(".success") else "> 0s" if metric.endswith(".p95") else "> 0"
    try:
        sentence = parse_abort_when(f"{metric} {limit} over 1m", EXPERIMENTS)
    except ValueError as error:
        assert "is a number of a whole run" in str(error)  # noqa: PT017
        return
    recent = Recent([sentence])
    for event in a_bad_minute():
        recent.take(event)
    assert recent.broken(60.0).startswith(f"{metric} {limit} over 1m: ")


def a_bad_minute() -> list[Event]:
    """Everything that can go wrong, thirty times; every time that can be measured is 2 s."""
    did = Did("cta", "file")
    found: list[Event] = []
    for n in range(30):
        endings = (Ending.OK, Ending.FAILED, Ending.UNKNOWN, Ending.DROPPED)
        for number, ending in enumerate(endings):
            action = 10 * n + number
            found.append(Intention(action, Kind.UPLOAD, "CTA", 0, did, "A-ONE", 10, 10.0))
            found.append(Outcome(action, "put", 12.0, 14.0, ending))
            if ending is Ending.OK:
                found.append(Outcome(action, "register", 14.0, 16.0, Ending.OK))
        rule = f"rule{n}"
        found.append(Intention(10 * n + 9, Kind.RULE, "CTA", 0, did, "C", 0, 10.0))
        found.append(Outcome(10 * n + 9, "rule", 10.0, 12.0, Ending.OK, detail=rule))
        found.append(RuleSeen(20.0, rule, "STUCK", 0, 0, 1))
        for done in (True, False, False):
            times = (10.0, 12.0, 14.0, 16.0)
            found.append(
                TransferSeen(
                    16.0, done, f"r{n}{done}", did, "A-ONE", "C", 1, "Functional Test", "davs", *times
                )
            )
    return found


def uploads(endings: list[Ending], at: float, experiment: str = "CTA", first: int = 0) -> list[Event]:
    """Return the events of uploads that end at one time."""
    events: list[Event] = []
    for action, ending in enumerate(endings, first):
        events.append(Intention(action, Kind.UPLOAD, experiment, 0, Did("s", "f"), "A-ONE", 1, at - 1))
        events.append(Outcome(action, "put", at - 1, at, ending))
        if ending is Ending.OK:
            events.append(Outcome(action, "register", at, at, Ending.OK))
    return events


def told(text: str, events: list[Event], now: float) -> str:
    """Return what one sentence says at a time."""
    recent = Recent([parse_abort_when(text, EXPERIMENTS)])
    for event in events:
        recent.take(event)
    return recent.broken(now)


def test_a_few_failures_at_the_start_end_nothing() -> None:
    """A ratio is looked at from MIN_SAMPLE files on."""
    text = "upload.success < 80% over 5m"
    assert told(text, uploads([Ending.FAILED] * (MIN_SAMPLE - 1), 10.0), 10.0) == ""
    assert (
        told(text, uploads([Ending.FAILED] * MIN_SAMPLE, 10.0), 10.0) == f"{text}: 0% of {MIN_SAMPLE} files"
    )


def test_what_was_observed_is_said() -> None:
    """As the issue of it would be told to a person."""
    endings = [Ending.OK] * 208 + [Ending.FAILED] * 132
    said = told("upload.success < 80% over 5m", uploads(endings, 100.0), 200.0)
    assert said == "upload.success < 80% over 5m: 61.18% of 340 files"
    assert told("upload.success < 61% over 5m", uploads(endings, 100.0), 200.0) == ""
    assert told("upload.failed > 131 over 5m", uploads(endings, 100.0), 200.0).endswith(": 132 files")


def test_what_is_long_ago_is_forgotten() -> None:
    """Failures older than the window do not count, though nothing has happened since."""
    events = uploads([Ending.FAILED] * 50, 100.0)
    assert told("upload.failed > 1 over 5m", events, 390.0)
    assert told("upload.failed > 1 over 5m", events, 401.0) == ""


def test_labels_choose_whose_uploads_count() -> None:
    """The failures of one experiment are not another's."""
    events = uploads([Ending.FAILED] * 30, 10.0) + uploads([Ending.OK] * 30, 10.0, "SKA", first=100)
    assert told("upload.success{experiment=CTA} < 90% over 1m", events, 10.0)
    assert told("upload.success{experiment=SKA} < 90% over 1m", events, 10.0) == ""
    assert told("upload.success{rse=C} < 90% over 1m", events, 10.0) == ""


def test_a_rule_that_stays_stuck_is_counted_once() -> None:
    """Rucio tells of it again and again; it counts when it comes to be stuck."""
    seen: list[Event] = [RuleSeen(at, "r", "STUCK", 0, 0, int(at)) for at in (10.0, 20.0, 30.0)]
    assert told("rule.stuck > 1 over 1m", seen, 30.0) == ""
    again: list[Event] = [RuleSeen(40.0, "r", "OK", 1, 0, 0), RuleSeen(50.0, "r", "STUCK", 0, 0, 1)]
    assert told("rule.stuck > 1 over 1m", seen + again, 50.0) == "rule.stuck > 1 over 1m: 2 rules"


def test_what_was_found_out_after_a_resume_did_not_happen_just_now() -> None:
    """Only what is done now counts, for files that were begun before too."""
    found: list[Event] = []
    for action in range(30):
        found.append(Intention(action, Kind.UPLOAD, "CTA", 0, Did("s", "f"), "A-ONE", 1, 10.0))
        found.append(Outcome(action, "put", 1000.0, 1000.0, Ending.OK, SETTLED))
    found.append(Outcome(0, "register", 1000.0, 1000.0, Ending.OK, SETTLED))
    assert told("upload.lateness.p50 > 1s over 1m", found, 1000.0) == ""
    found += [Outcome(action, "register", 1000.0, 1001.0, Ending.FAILED) for action in range(30)]
    assert told("upload.success < 80% over 1m", found, 1001.0).endswith(": 0% of 29 files")


def test_nothing_is_kept_of_a_file_that_has_ended() -> None:
    """What is held of a run does not grow with its files."""
    recent = Recent([parse_abort_when("upload.success < 80% over 5m", EXPERIMENTS)])
    for n in range(1000):
        for event in uploads([Ending.OK, Ending.FAILED], 10.0 * n, first=2 * n):
            recent.take(event)
    assert not recent._uploads
    (watched,) = recent._watched
    assert len(watched.window._slots) <= SLOTS + 1


@given(
    st.lists(st.tuples(st.floats(0, 1000), st.sampled_from("ab"))),
    st.floats(1, 300),
    st.floats(0, 1000),
)
def test_a_window_counts_what_was_within_it(
    things: list[tuple[float, str]], over_s: float, now: float
) -> None:
    """Nothing older than the window counts, and all that is younger than it by a slot does."""
    window = Window(over_s)
    for at, what in sorted(things, key=lambda thing: thing[0]):
        if at <= now:
            window.add(at, what)
    counts = window.counts(now)
    for letter in "ab":
        times = [at for at, what in things if what == letter and at <= now]
        surely = sum(at > now - over_s * (1 - 1 / SLOTS) + 1e-6 for at in times)
        at_most = sum(at >= now - over_s - 1e-6 for at in times)
        assert surely <= counts[letter] <= at_most
    assert len(window._slots) <= SLOTS + 1


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_quantile_of_bins_is_near_the_true_one_and_never_above(
    values: list[float], quantile: float
) -> None:
    """At most 2 % too low, so that a limit that was met is never called broken."""
    window = Window(60.0)
    for value in values:
        window.add(0.0, bin_of(value))
    observed = quantile_of_bins(window.counts(0.0), quantile)
    rank = max(1, -(-round(quantile * len(values), 6) // 1))
    true = sorted(values)[int(rank) - 1]
    assert observed <= true + 1e-9
    assert observed >= true / 1.0201 or true <= 0.00102
    assert all(0 <= bin_of(value) <= BINS for value in (*values, -1.0, 1e30))


class Run:
    """A journal, a clock and a wish to stop."""

    def __init__(self, path: Path, *sentences: str) -> None:
        self.scenario = load_value(small(limits={"abort_when": list(sentences)}))
        self.clock = FakeClock(1000.0)
        self.stop = Stop()
        self.path = path
        started = RunStarted("run", "small", 7, "", 1.0, 1.0, 1000.0, "0", "0", "fake", "")
        self.journal = Journal.create(path, started, max_delay_s=0.001)

    async def watched(self) -> None:
        """Look at the journal as often as it takes to see all of it; end looking if the run goes on."""
        await self.journal.flush()
        looking = asyncio.create_task(abort_when_due(self.scenario, self.path, self.clock, self.stop))
        await asyncio.wait({looking}, timeout=0.2)
        looking.cancel()
        (error,) = await asyncio.gather(looking, return_exceptions=True)
        assert error is None or isinstance(error, asyncio.CancelledError)


@pytest.fixture
async def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Run]:
    monkeypatch.setattr(fdr.abort, "EVERY_S", 0.01)
    run = Run(tmp_path / "journal.sqlite", "upload.success < 80% over 5m", "upload.dropped > 3 over 1m")
    yield run
    await run.journal.close()


async def test_the_run_stops_and_says_which_limit(run: Run) -> None:
    """The reason names the sentence and what was observed."""
    run.journal.record(*uploads([Ending.OK] * 10 + [Ending.FAILED] * 10, 1000.0))
    await run.watched()
    said = "limits.abort_when: upload.success < 80% over 5m: 50% of 20 files"
    assert (run.stop.kind, run.stop.text) == ("limit", said)


async def test_a_run_within_its_limits_goes_on(run: Run) -> None:
    """Also when a failure or two are among its files."""
    run.journal.record(*uploads([Ending.OK] * 30 + [Ending.FAILED] * 2 + [Ending.DROPPED] * 3, 1000.0))
    await run.watched()
    assert not run.stop.wanted


def test_who_validates_a_scenario_sees_what_would_end_it(tmp_path: Path) -> None:
    """One line says it all."""
    path, said = tmp_path / "day.yaml", list[str]()
    path.write_text(write_document(small(limits={"abort_when": ["upload.success < 80% over 5m"]})))
    validate([path], (), said.append)
    assert said == [
        f"{path}: good: 2 experiments, 3 RSEs, 32 files, ends early when upload.success < 80% over 5m"
    ]


async def test_without_a_sentence_nothing_is_read(tmp_path: Path) -> None:
    """It returns at once, and needs no journal."""
    scenario = load_value(small())
    await asyncio.wait_for(abort_when_due(scenario, tmp_path / "none", FakeClock(), Stop()), 5)
