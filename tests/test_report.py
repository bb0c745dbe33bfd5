"""A report says what happened, in every rendering, and nothing that it does not know."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from fdr.fold import fold
from fdr.journal.writer import Journal
from fdr.judgement import judge_all, overall
from fdr.metrics import Planned, PlannedExperiment
from fdr.model import Audited, Did, Ending, Event, Intention, Kind, Note, Outcome, TransferSeen, Verdict
from fdr.report import words
from fdr.report.facts import Facts
from fdr.report.make import Report, make_report, print_summary, to_html, to_json, to_json_text
from tests.made_up_run import BEGIN, EXPERIMENTS, RSES, STARTED, MadeUpRun, make_up

SCHEMA = json.loads(Path(words.__file__).with_name("report.schema.json").read_text())
OBJECTIVES = (
    "upload.success >= 90%",
    "upload.lateness.p99 <= 2s",
    "rule.time_to_ok.p95 <= 30m",
    "transfer.count >= 1",
)

# design: what every reader of report.json may rely on.
CONTRACT = {
    "run": {"id", "scenario", "seed", "plan_digest", "scale", "speed", "started_at", "ended_at",
            "fdr_version", "rucio_version", "lake"},
    "transfers": {"done", "failed", "bytes", "matrix"},
    "generator": {"lateness_p99", "cpu_seconds", "memory_peak", "requests"},
}  # fmt: skip
CONTRACT_OF_ROWS = {
    "objectives": {"text", "observed", "sample", "verdict"},
    "phases": {"phase", "p50", "p95", "p99", "max", "sample"},
    "rses": {"rse", "qos", "quota", "used_peak", "watermark"},
    "services": {"service", "cpu_mean", "cpu_peak", "memory_mean", "memory_peak", "restarts"},
    "failures": {"operation", "reason", "count", "first", "last", "example"},
}
CONTRACT_OF_EXPERIMENTS = {
    "files": {"planned", "ok", "failed", "unknown", "dropped", "registered"},
    "bytes": {"planned", "ok"},
    "datasets": {"planned", "closed"},
    "rules": {"added", "ok", "replicating", "stuck", "failed", "cancelled"},
}


def report_of(run: MadeUpRun, objectives: tuple[str, ...] = OBJECTIVES) -> Report:
    metrics = fold(run.started, run.planned, run.events)
    judgements = judge_all(objectives, metrics)
    verdict, doubts = overall(judgements, metrics)
    return Facts(metrics, judgements, verdict, doubts, RSES, {})


def empty_run() -> MadeUpRun:
    return MadeUpRun(STARTED, Planned({}))


def summary(report: Report, width: int = 80) -> str:
    out = io.StringIO()
    print_summary(report, Console(file=out, width=width))
    return out.getvalue()


def valid(report: Report) -> dict:
    told = json.loads(to_json_text(report))
    jsonschema.validate(told, SCHEMA, jsonschema.Draft202012Validator)
    return told


def test_the_schema_is_one() -> None:
    """The schema in the project is a schema of draft 2020-12, and leaves no object open."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

    def objects(node: object) -> list[dict]:
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        own = [node] if isinstance(node, dict) and node.get("type") == "object" else []
        return own + [found for part in inner for found in objects(part)]

    assert len(objects(SCHEMA)) > 15
    assert all("additionalProperties" in found for found in objects(SCHEMA))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), trouble=st.floats(0, 1), ended=st.booleans(), share=st.floats(0, 1))
def test_every_report_is_valid(seed: int, trouble: float, ended: bool, share: float) -> None:
    """Whatever happened, and wherever the journal stops, report.json is as its schema says."""
    run = make_up(seed, 60, 10, trouble, is_ended=ended)
    run.events = run.events[: int(len(run.events) * share)]
    valid(report_of(run))


def test_an_empty_journal_is_reported() -> None:
    """A run that was killed before it did anything has a report, and it is inconclusive."""
    told = valid(report_of(empty_run(), ()))
    assert (told["verdict"], told["experiments"], told["failures"]) == ("inconclusive", {}, [])
    assert "did not end" in to_html(report_of(empty_run(), ()))
    assert "did not end" in summary(report_of(empty_run(), ()))


def test_an_audit_is_told_in_every_rendering() -> None:
    """What it counted, when it was; a run that was not audited says so and how to."""
    run = make_up(seed=1)
    told = report_of(run)
    assert valid(told)["audit"] is None
    assert "not audited" in summary(told)
    assert "Not audited" in to_html(told)
    run.events.append(Audited(BEGIN + 99, 120, 300, 4, 3, 2, 1, 0, 0, 7))
    told = report_of(run)
    found = valid(told)["audit"]
    assert (found["lost"], found["dark"], found["unseen"]) == (4, 3, 7)
    for text in (" ".join(summary(told).split()), to_html(told)):
        assert "4 lost, 3 dark, 2 wrong, 1 unrecorded; 7 copies could not be looked at" in text


def test_the_contract_of_the_json_is_kept() -> None:
    """Every key that other programs rely on is there."""
    told = valid(report_of(make_up(trouble=0.3)))
    assert told["schema"] == "fdr-report/1"
    for part, keys in CONTRACT.items():
        assert keys <= told[part].keys()
    for part, keys in CONTRACT_OF_ROWS.items():
        assert told[part]
        assert all(keys <= row.keys() for row in told[part])
    for experiment in told["experiments"].values():
        for part, keys in CONTRACT_OF_EXPERIMENTS.items():
            assert keys <= experiment[part].keys()
    link = {"src", "dst", "done", "failed", "bytes", "bytes_per_second"}
    assert all(link <= row.keys() for row in told["transfers"]["matrix"])


def test_the_counts_are_those_of_the_run_and_add_up() -> None:
    """Files are counted as they were made up, and every file planned is in exactly one place."""
    run = make_up(seed=5, files=240, trouble=0.3)
    run.events = run.events[: len(run.events) // 2]
    whole = make_up(seed=5, files=240, trouble=0.3)
    told = valid(report_of(whole))
    for name in EXPERIMENTS:
        files = told["experiments"][name]["files"]
        for ending in ("ok", "failed", "unknown", "dropped"):
            assert files[ending] == whole.files[name, ending]
    for report in (told, valid(report_of(run))):
        for experiment in report["experiments"].values():
            files, shortfall = experiment["files"], experiment["shortfall"]
            ends = ("ok", "failed", "unknown", "dropped", "not_reached")
            assert files["planned"] == sum(files[end] for end in ends)
            assert files["planned"] - files["ok"] == sum(shortfall.values())
    assert told["transfers"]["done"] == sum(link["done"] for link in told["transfers"]["matrix"])


def test_a_run_that_did_not_end_is_said_not_to_have_in_every_rendering() -> None:
    """After kill -9 JSON, page and terminal say that the run did not end, and when it fell silent."""
    run = make_up(is_ended=False)
    report = report_of(run)
    told = valid(report)
    assert (told["run"]["ended_at"], told["run"]["ended"], told["verdict"]) == (None, False, "inconclusive")
    sentence = f"the run did not end: the journal stops at {told['run']['last_event_at']}"
    assert told["run"]["status"] == sentence
    assert sentence in " ".join(summary(report).split())
    assert sentence[1:] in to_html(report)


def test_a_run_that_ended_is_not_said_to_have_not() -> None:
    """The opposite: no rendering of a run that ended says that it did not."""
    report = report_of(make_up())
    assert valid(report)["run"]["ended_at"] is not None
    assert "did not end" not in summary(report) + to_html(report) + to_json_text(report)


@pytest.mark.parametrize(
    ("kinds", "sentence"),
    [
        (("cleaning",), "its removal from the lake began at 2020-11-21T10:00:00.000Z and was not completed"),
        (("cleaning", "deletion-asked", "cleaned"), "has been removed from the lake since, by 2020-11-21T"),
    ],
)
@pytest.mark.parametrize("is_ended", [True, False])
def test_a_run_that_was_removed_says_so_and_changes_nothing_else(
    kinds: tuple[str, ...], sentence: str, is_ended: bool
) -> None:
    """Its numbers, its end and its last event are those of the run, whenever it was cleaned."""
    run = make_up(is_ended=is_ended)
    before = valid(report_of(run))
    run.events += [Note(BEGIN + 2 * 86400 + number, kind) for number, kind in enumerate(kinds)]
    after = valid(report_of(run))
    assert sentence in after["run"].pop("status")
    assert [note["kind"] for note in after["run"].pop("notes")][-len(kinds) :] == list(kinds)
    assert sentence in " ".join(to_html(report_of(run)).split())
    del before["run"]["status"], before["run"]["notes"]
    assert after == before


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("interrupted", "the run was interrupted (Ctrl-C)"),
        ("limit", "the run stopped at a limit (Ctrl-C)"),
        ("cancelled", "what rules had not done yet was cancelled (Ctrl-C)"),
        ("grace-over", "rules were still open when the grace period was over (Ctrl-C)"),
        ("outage", "Rucio was out, and what waited for it is late (Ctrl-C)"),
        ("samples-lost", "some samples could not be taken (Ctrl-C)"),
        ("events-lost", "transfer events were lost, so transfers are counted too low (Ctrl-C)"),
    ],
)
def test_how_a_run_ended_is_said_in_words(kind: str, sentence: str) -> None:
    """Each way of not ending well has its sentence, in every rendering."""
    run = make_up(trouble=0)
    run.events.insert(-1, Note(BEGIN + 61, kind, "Ctrl-C"))
    report = report_of(run)
    assert valid(report)["run"]["status"] == sentence
    assert sentence in " ".join(summary(report).split())
    assert sentence[1:] in to_html(report)


def test_the_limit_that_ended_a_run_is_said_once_at_the_top() -> None:
    """With what was observed; the run does not pass."""
    limit = "limits.abort_when: upload.success < 80% over 5m: 61.18% of 340 files"
    run = make_up(trouble=0)
    run.events.insert(-1, Note(BEGIN + 61, "limit", limit))
    report = report_of(run)
    assert report.verdict is Verdict.INCONCLUSIVE
    said = words.verdict(to_json(report))
    assert said.startswith("Verdict: INCONCLUSIVE")
    assert said.count(limit) == 1
    assert " ".join(summary(report).split()).endswith(said)
    page = to_html(report)
    assert page.index("61.18% of 340 files") < page.index("<h2>Objectives</h2>")


class Page(HTMLParser):
    """What a browser would fetch or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.identifiers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "xlink:href", "action", "data", "srcset"} and not str(
                value
            ).startswith("#"):
                self.fetched.append(f"{tag} {name}={value}")
            if name == "id":
                self.identifiers.append(str(value))


def test_the_page_fetches_and_runs_nothing() -> None:
    """The page is whole by itself: no script, no image, no style, no font from anywhere."""
    text = to_html(report_of(make_up(trouble=0.3)))
    page = Page(text)
    assert page.fetched == []
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert "default-src 'none'" in text
    assert "@import" not in text
    assert "url(http" not in text
    assert page.tags.count("svg") == 2
    assert len(page.identifiers) == len(set(page.identifiers)) > 0


def test_what_a_storage_says_cannot_break_the_page() -> None:
    """Text from outside is shown as text."""
    run = make_up(trouble=0)
    evil = "<script>alert(1)</script>"
    did = Did("cta", "f")
    extra: list[Event] = [
        Intention(777, Kind.UPLOAD, "CTA", 0, did, evil, 1, BEGIN),
        Outcome(777, "put", BEGIN, BEGIN, Ending.FAILED, evil, evil),
        TransferSeen(BEGIN, False, "r", did, evil, "B", 1, "", "", None, None, None, None, f"{evil} [1]"),
    ]
    run.events[-1:-1] = extra
    text = to_html(report_of(run))
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert evil in " ".join(summary(report_of(run)).split())


def test_the_page_of_a_journal_is_always_the_same() -> None:
    """The same journal gives the same bytes: no date, no random identifiers."""
    run = make_up(trouble=0.2)
    assert to_html(report_of(run)) == to_html(report_of(run))
    assert to_json_text(report_of(run)) == to_json_text(report_of(run))


def test_the_page_shows_what_its_reader_came_for() -> None:
    """Verdict, objectives, shortfall, links, services and reasons all stand in the page."""
    report = report_of(make_up(seed=2, trouble=0.3))
    text = to_html(report)
    told = to_json(report)
    for objective in OBJECTIVES:
        assert objective.replace(">", "&gt;").replace("<", "&lt;") in text
    for row in told["services"]:
        assert row["service"] in text
    for failure in told["failures"]:
        assert failure["reason"] in text
    for heading in ("Where it fell short", "Transfers", "The generator", "third-party"):
        assert heading in text
    assert ">Failed<" in text


def test_the_summary_is_readable_on_a_terminal_that_knows_ascii_only() -> None:
    """Where a locale has no dashes and lines, the summary is still printed."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_summary(report_of(make_up(trouble=0.3)), Console(file=out, width=80))
    out.seek(0)
    assert "Verdict: " in out.read()


@pytest.mark.parametrize("scale", [1, 1_000_000])
def test_the_summary_fits_eighty_columns(scale: int) -> None:
    """With a day's numbers and long names the summary keeps to 80 columns and cuts no number off."""
    run = make_up(seed=2, trouble=0.3)
    planned = {
        f"{name}-WITH-A-LONG-NAME" if scale > 1 else name: dataclasses.replace(plan, files=plan.files * scale)
        for name, plan in run.planned.experiments.items()
    }
    report = report_of(
        MadeUpRun(run.started, Planned(planned), run.events), ("upload.success{rse=PIC-DCACHE} >= 99%",)
    )
    text = summary(report)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert f"{next(iter(planned.values())).files:,}" in text
    assert "\x1b" not in text
    assert "Verdict: " in text.splitlines()[-1] or "Verdict: " in text.splitlines()[-2]


@pytest.mark.parametrize(
    ("trouble", "objectives", "verdict"),
    [
        (0, ("upload.success >= 100%",), "PASS (its objective passed; the run came to its end)"),
        (0.5, ("upload.success >= 100%",), "FAIL (1 of 1 objectives failed; the run came to its end)"),
        (0, ("upload.lateness.p99.9 <= 2s",), "INCONCLUSIVE (1 of 1 objectives could not be decided;"),
        (0, (), "INCONCLUSIVE (the run came to its end; there is no objective to judge by)"),
    ],
)
def test_the_verdict_is_the_last_word_and_says_why(
    trouble: float, objectives: tuple[str, ...], verdict: str
) -> None:
    """Whoever reads only the end of the output knows whether it passed, and why."""
    text = " ".join(summary(report_of(make_up(trouble=trouble), objectives)).split())
    assert f"Verdict: {verdict}" in text[-200:]


def test_a_journal_becomes_a_report_that_names_its_examples(tmp_path: Path) -> None:
    """From the file alone: counted, judged, and each failed upload's example with its DID."""
    run = make_up(seed=3, trouble=0.4)
    path = tmp_path / "journal.sqlite"

    async def write() -> None:
        journal = Journal.create(path, run.started)
        journal.record(*run.events)
        await journal.close()

    asyncio.run(write())
    report = make_report(path, run.planned, ("upload.success >= 100%",), RSES)
    assert report.verdict is Verdict.FAIL
    told = valid(report)
    examples = [row["example"] for row in told["failures"] if row["operation"] == "put"]
    assert examples
    assert all(example.split(":")[0] in {"cta", "lsst", "ska"} for example in examples)
    assert told["experiments"]["CTA"]["files"]["ok"] == run.files["CTA", "ok"]


def test_experiments_only_in_the_journal_are_reported_too() -> None:
    """What the journal holds is shown although the plan given does not know it."""
    run = make_up(trouble=0)
    run.planned = Planned({"CTA": PlannedExperiment(1, 1, 1, 1)})
    told = valid(report_of(run))
    assert told["experiments"]["LSST"]["files"]["ok"] == run.files["LSST", "ok"]
    assert to_html(report_of(run)).count("LSST") > 1


def test_plots_are_drawn_only_for_the_page() -> None:
    """The command line and report.json do not pay for matplotlib."""
    code = "import sys, fdr.report.make; print('matplotlib' in sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, timeout=60, text=True
    )
    assert told.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [
        (0, 10, "0 %"),
        (10, 10, "100 %"),
        (999_999, 1_000_000, ">99.9 %"),
        (1, 10_000_000, "<0.1 %"),
        (0, 0, words.NOTHING),
    ],
)
def test_a_share_is_all_only_if_nothing_is_missing(part: int, whole: int, said: str) -> None:
    """Rounding makes neither a success of a near miss nor nothing of something."""
    assert words.share(part, whole) == said


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [(0.9949999, "ratio", "99.4999 %"), (0.57, "ratio", "57 %"), (1.0, "ratio", "100 %"),
     (0.25, "s", "250ms"), (1234.0, "count", "1,234"),
     (None, "s", words.NOTHING)],
)  # fmt: skip
def test_what_was_observed_is_written_with_the_digits_that_decide(value, unit, said) -> None:
    """A success of 99.49999 % is not written as the 99.5 % that was asked for."""
    assert words.observed(value, unit) == said
