"""Objectives are read strictly and judged honestly."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdr.fold import fold
from fdr.judgement import Judgement, judge, judge_all, overall
from fdr.metrics import Metrics, Planned, PlannedExperiment
from fdr.model import Audited, Ending, Note, Outcome, Resumed, Verdict
from fdr.objectives import COUNTED, TIMED, Unit, needs_audit, parse_objective
from tests.made_up_run import BEGIN, STARTED, make_up
from tests.test_metrics import put, register, transfer, upload

NAMES = ("CTA", "LSST")


@pytest.mark.parametrize(
    ("text", "metric", "labels", "op", "limit", "unit"),
    [
        ("upload.success >= 99.5%", "upload.success", (), ">=", 0.995, Unit.RATIO),
        ("upload.success{experiment=CTA}>=99 %", "upload.success", (("experiment", "CTA"),), ">=", 0.99,
         Unit.RATIO),
        ("upload.lateness.p99 <= 2s", "upload.lateness.p99", (), "<=", 2.0, Unit.SECONDS),
        ("rule.time_to_ok.p95 < 30m", "rule.time_to_ok.p95", (), "<", 1800.0, Unit.SECONDS),
        ("upload.lateness.p99.9 < 1h30m", "upload.lateness.p99.9", (), "<", 5400.0, Unit.SECONDS),
        ("register.max <= 500ms", "register.max", (), "<=", 0.5, Unit.SECONDS),
        ("upload.dropped == 0", "upload.dropped", (), "==", 0.0, Unit.COUNT),
        ("upload.count > 1_000", "upload.count", (), ">", 1000.0, Unit.COUNT),
        ("dataset.closed >= 100%", "dataset.closed", (), ">=", 1.0, Unit.RATIO),
        ('transfer.success { src = "A", dst = B } >= 98%', "transfer.success", (("dst", "B"), ("src", "A")),
         ">=", 0.98, Unit.RATIO),
    ],
)  # fmt: skip
def test_an_objective_is_read_as_written(text, metric, labels, op, limit, unit) -> None:
    """Metric, labels, comparison and limit come out in base units."""
    objective = parse_objective(text, NAMES)
    found = (objective.metric, objective.labels, objective.op, objective.limit, objective.unit)
    assert found == (metric, labels, op, limit, unit)
    assert objective.text == text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("uplod.success >= 99%", "did you mean 'upload.success'"),
        ("upload.success{experiment=CTB} >= 99%", "did you mean 'CTA'"),
        ("upload.success{experimnt=CTA} >= 99%", "did you mean 'experiment'"),
        ("upload.success{experiment} >= 99%", "write experiment=NAME"),
        ("upload.success{} >= 99%", "not label=value"),
        ("upload.success{rse=A,rse=B} >= 99%", "twice"),
        ("rule.success{rse=A} >= 99%", "it takes experiment"),
        ("upload.success >= 0.99", "it is a percentage"),
        ("upload.success >= 120%", "never"),
        ("upload.success >= 2s", "percentage such as"),
        ("upload.count >= 5%", "it is a count"),
        ("upload.lateness.p99 <= 2", "of what"),
        ("upload.lateness.p99 <= 2 parsecs", "unit of time"),
        ("upload.lateness <= 2s", "which percentile"),
        ("upload.lateness.p100 <= 2s", "unknown metric"),
        ("upload.success => 99%", "OP one of"),
        ("upload.success 99%", "OP one of"),
        ("upload.success >= ", "OP one of"),
        ("", "OP one of"),
        ("lost == 0%", "it is a count"),
        ("lost", "OP one of"),
        ("dark{experiment=CTA} == 0", "over the whole run"),
        ("darkk == 0", "did you mean 'dark'"),
    ],
)
def test_a_wrong_objective_is_refused_with_what_to_write(text: str, complaint: str) -> None:
    """Every mistake gets a sentence that mends it."""
    with pytest.raises(ValueError, match=complaint):
        parse_objective(text, NAMES)


@given(text=st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing that can be typed ends in anything but an objective or a ValueError."""
    with contextlib.suppress(ValueError):
        assert parse_objective(text, NAMES).text == text.strip()


def all_metrics() -> list[str]:
    counted = [
        f"{metric} >= {'100%' if units[0] is Unit.RATIO else '1'}" for metric, (units, _) in COUNTED.items()
    ]
    timed = [f"{metric}.{last} >= 0s" for metric in TIMED for last in ("p50", "max")]
    return [*counted, *timed]


PLANNED = Planned({"CTA": PlannedExperiment(4, 40, 1, 1, {"SITE-A": 3, "SITE-B": 1})})


def of(*events, planned: Planned = PLANNED) -> Metrics:
    return fold(STARTED, planned, events)


def judged(text: str, metrics: Metrics) -> Judgement:
    return judge(parse_objective(text, ["CTA", *metrics.experiments]), metrics)


@pytest.mark.parametrize("text", all_metrics())
def test_nothing_measured_is_inconclusive_for_every_metric(text: str) -> None:
    """No objective passes, or fails, on a run of which nothing is known."""
    judgement = judged(text, of())
    assert (judgement.observed, judgement.sample, judgement.verdict) == (None, 0, Verdict.INCONCLUSIVE)


@pytest.mark.parametrize(
    "text", ["upload.failed == 0", "upload.dropped <= 0%", "transfer.failed == 0", "rule.stuck == 0"]
)
def test_no_failure_of_nothing_is_no_success(text: str) -> None:
    """That nothing failed says nothing where nothing was tried."""
    assert judged(text, of()).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("text", all_metrics())
def test_every_metric_can_be_observed(text: str) -> None:
    """On a run with everything in it each metric has a number, so each can pass or fail."""
    run = make_up(seed=3, files=240, files_per_dataset=10, trouble=0.2)
    judgement = judged(text, fold(run.started, run.planned, run.events))
    assert judgement.observed is not None
    assert judgement.sample > 0
    assert judgement.verdict in {Verdict.PASS, Verdict.FAIL}


def test_success_counts_from_what_was_planned() -> None:
    """Files that the run never reached count against it."""
    metrics = of(upload(1), put(1), register(1), upload(2), put(2), register(2))
    judgement = judged("upload.success >= 50%", metrics)
    assert (judgement.observed, judgement.sample, judgement.verdict) == (0.5, 4, Verdict.PASS)
    assert judged("upload.success > 50%", metrics).verdict is Verdict.FAIL


def test_labels_choose_what_is_judged() -> None:
    """An RSE's files are judged by what was planned at that RSE."""
    metrics = of(upload(1), put(1), register(1), upload(2, rse="SITE-B"), put(2, Ending.FAILED))
    assert judged("upload.success{rse=SITE-A} >= 1%", metrics).observed == pytest.approx(1 / 3)
    assert judged("upload.success{rse=SITE-B} >= 1%", metrics).observed == 0
    assert judged("upload.failed{rse=SITE-A} == 0", metrics).verdict is Verdict.PASS
    assert judged("upload.success{rse=NOWHERE} >= 1%", metrics).verdict is Verdict.INCONCLUSIVE


def test_links_are_chosen_by_source_and_destination() -> None:
    """A transfer objective with labels looks at those links only."""
    other = dataclasses.replace(transfer(2, None, None, done=False), src_rse="SITE-C")
    metrics = of(transfer(1, BEGIN, BEGIN + 4), other)
    assert judged("transfer.success >= 98%", metrics).observed == 0.5
    assert judged("transfer.success{src=SITE-A} >= 98%", metrics).verdict is Verdict.PASS
    assert judged("transfer.success{src=SITE-C} >= 98%", metrics).verdict is Verdict.FAIL
    assert judged("transfer.copy.max{src=SITE-A,dst=SITE-B} <= 4s", metrics).verdict is Verdict.PASS


def test_a_percentile_of_too_few_is_inconclusive_and_says_why() -> None:
    """Fifty fast uploads do not make a p99."""
    events = [event for number in range(50) for event in (upload(number), put(number), register(number))]
    judgement = judged("upload.lateness.p99 <= 2s", of(*events))
    assert (judgement.observed, judgement.sample, judgement.verdict) == (None, 50, Verdict.INCONCLUSIVE)
    assert "100" in judgement.why
    assert judged("upload.lateness.p95 <= 2s", of(*events)).verdict is Verdict.PASS


def test_the_percentage_written_is_the_percentage_meant() -> None:
    """999 of 1000 is 99.9 %, whatever binary fractions make of it."""
    planned = Planned({"CTA": PlannedExperiment(1000, 1, 1, 1)})
    events = [event for number in range(999) for event in (upload(number), put(number), register(number))]
    metrics = of(*events, planned=planned)
    assert judged("upload.success >= 99.9%", metrics).verdict is Verdict.PASS
    assert judged("upload.success == 99.9%", metrics).verdict is Verdict.PASS


def test_lost_events_leave_transfers_undecided() -> None:
    """When transfer events were missed nothing is said of transfers, good or bad."""
    metrics = of(transfer(1, BEGIN, BEGIN + 4), Note(BEGIN + 5, "events-lost"))
    judgement = judged("transfer.success >= 98%", metrics)
    assert (judgement.verdict, judgement.why) == (Verdict.INCONCLUSIVE, "transfer events were lost")


def audited(**counts: int) -> Audited:
    names = ("files", "copies", "lost", "dark", "wrong", "unrecorded", "unknown", "expired", "unseen")
    return Audited(BEGIN + 9, **(dict.fromkeys(names, 0) | {"files": 10} | counts))


@pytest.mark.parametrize(
    ("text", "counts", "verdict"),
    [
        ("lost == 0", {}, Verdict.PASS),
        ("lost == 0", {"lost": 1}, Verdict.FAIL),
        ("lost == 0", {"dark": 1}, Verdict.PASS),
        ("dark <= 2", {"dark": 2}, Verdict.PASS),
        ("dark <= 2", {"dark": 3}, Verdict.FAIL),
        ("wrong == 0", {"wrong": 1}, Verdict.FAIL),
        ("unrecorded == 0", {"unrecorded": 1}, Verdict.FAIL),
        ("lost == 0", {"unseen": 1}, Verdict.INCONCLUSIVE),
        ("lost == 0", {"unseen": 1, "lost": 1}, Verdict.FAIL),
        ("lost < 1", {"unseen": 1, "lost": 1}, Verdict.FAIL),
        ("lost == 2", {"unseen": 1, "lost": 1}, Verdict.INCONCLUSIVE),
        ("lost <= 1", {"unseen": 1, "lost": 1}, Verdict.INCONCLUSIVE),
        ("lost >= 1", {"unseen": 1}, Verdict.INCONCLUSIVE),
        ("lost == 0", {"files": 0}, Verdict.INCONCLUSIVE),
        ("lost == 0", {"expired": 1}, Verdict.INCONCLUSIVE),
        ("lost == 0", {"expired": 1, "lost": 1}, Verdict.FAIL),
    ],
)
def test_what_an_audit_counted_is_judged(text: str, counts: dict[str, int], verdict: Verdict) -> None:
    """What could not be looked at leaves it open, unless there is too much already."""
    judgement = judged(text, of(audited(**counts)))
    assert judgement.verdict is verdict
    assert judgement.observed == counts.get(text.split(maxsplit=1)[0], 0)
    assert bool(judgement.why) == (verdict is Verdict.INCONCLUSIVE)


def test_a_run_that_was_not_audited_has_nothing_lost_and_nothing_found() -> None:
    """The verdict says what to do; the last audit counts, and none before the run was resumed."""
    judgement = judged("lost == 0", of(*GOOD))
    assert (judgement.observed, judgement.verdict) == (None, Verdict.INCONCLUSIVE)
    assert "fdr audit" in judgement.why
    again = dataclasses.replace(audited(lost=3), at=BEGIN + 10)
    assert judged("lost == 0", of(audited(), again)).observed == 3
    assert judged("lost == 0", of(audited(), Resumed(BEGIN + 5, BEGIN))).observed == 0
    assert judged("lost == 0", of(audited(), Resumed(BEGIN + 10, BEGIN + 8))).observed is None


def test_objectives_say_whether_they_need_an_audit() -> None:
    """An audit costs time, and is made where somebody asks what it counts."""
    assert needs_audit(["upload.success >= 1%", "dark == 0"], NAMES)
    assert not needs_audit(["upload.success >= 1%"], NAMES)


GOOD = (upload(1), put(1), register(1))
ENDED = Note(BEGIN + 9, "ended")


@pytest.mark.parametrize(
    ("events", "objectives", "verdict", "doubt"),
    [
        ((*GOOD, ENDED), ["upload.failed == 0"], Verdict.PASS, None),
        ((*GOOD, ENDED), ["upload.failed == 0", "upload.success >= 99%"], Verdict.FAIL, None),
        ((*GOOD, ENDED), ["upload.failed == 0", "rule.success >= 1%"], Verdict.INCONCLUSIVE, None),
        ((*GOOD, ENDED), [], Verdict.INCONCLUSIVE, "no objective"),
        (GOOD, ["upload.failed == 0"], Verdict.INCONCLUSIVE, "did not end"),
        ((*GOOD, Note(BEGIN, "interrupted"), ENDED), ["upload.failed == 0"], Verdict.INCONCLUSIVE,
         "interrupted"),
        ((*GOOD, Note(BEGIN, "limit", "files"), ENDED), ["upload.failed == 0"], Verdict.INCONCLUSIVE,
         "stopped at a limit (files)"),
        ((*GOOD, Note(BEGIN, "limit", "files"), ENDED), ["upload.failed >= 1"], Verdict.FAIL,
         "stopped at a limit (files)"),
        ((upload(1), put(1, Ending.DROPPED), ENDED), ["upload.failed == 0"], Verdict.INCONCLUSIVE,
         "not one file"),
        (GOOD, ["upload.success >= 99%"], Verdict.FAIL, "did not end"),
    ],
)  # fmt: skip
def test_the_worst_counts_and_silence_is_not_success(events, objectives, verdict, doubt) -> None:
    """A run passes only if it ended by itself, did something, and met every objective it had."""
    metrics = of(*events)
    found, doubts = overall(judge_all(objectives, metrics), metrics)
    assert found is verdict
    assert any(doubt in text for text in doubts) if doubt else doubts == ()


def test_an_unknown_file_is_not_a_good_one() -> None:
    """A registration that may have happened does not count as success."""
    metrics = of(
        upload(1), put(1), Outcome(1, "register", BEGIN, BEGIN + 1, Ending.UNKNOWN, "timeout"), ENDED
    )
    assert judged("upload.success >= 1%", metrics).verdict is Verdict.FAIL
    assert judged("upload.unknown == 0", metrics).verdict is Verdict.FAIL
