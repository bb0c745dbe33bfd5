"""What other programs show of a report: JUnit XML for CI servers, Markdown with GitHub's tables."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cmarkgfm
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from junit2htmlreport.parser import Case, Junit

from fdr.journal.writer import Journal
from fdr.model import Note
from fdr.report import junit, markdown, words
from fdr.report.make import to_json, to_junit, to_markdown
from tests.made_up_run import BEGIN, make_up
from tests.small_scenario import SCENARIOS
from tests.test_report import OBJECTIVES, report_of

NOT_XML = "[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
# What a name, a note or a storage's message may hold, and more of what means something to Markdown and XML.
SPECIAL = "|\\`*_[]()<>&#~!$@:/.-+={}'\" \n\r\t\x00\x0bwahtps1"
NASTY = st.text(max_size=40) | st.text(alphabet=SPECIAL, max_size=30)
VERDICTS = st.sampled_from(["pass", "inconclusive", "fail"])


def told(**changes: Any) -> dict[str, Any]:
    """Return report.json's values of a made-up run with some of its parts changed."""
    return to_json(report_of(make_up(seed=2, trouble=0.3))) | changes


REPORT = told()


def cases(text: str) -> list[Case]:
    """Return the cases of a JUnit document, as a reader that is not its writer's finds them."""
    (suite,) = Junit(xmlstring=text).suites
    return [case for found in suite.classes.values() for case in found.cases]


def line(text: str) -> str:
    """Return a text as an attribute shows it, with a mark for what XML cannot hold."""
    return " ".join(re.sub(NOT_XML, "\ufffd", text).split())


def asked(text: str = "upload.success >= 99%", verdict: str = "pass", why: str = "") -> dict[str, Any]:
    return {"text": text, "observed": 0.5, "unit": "ratio", "sample": 9, "verdict": verdict, "why": why}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(names=st.lists(NASTY, min_size=1, max_size=4), why=NASTY, doubts=st.lists(NASTY, max_size=2))
@example(names=["]]>", "a\x00b", "\ud7ff"], why="</error>", doubts=["&#0;"])
def test_junit_is_whole_whatever_anybody_said(names: list[str], why: str, doubts: list[str]) -> None:
    """Any text gives XML that a reader takes, with one case for each objective and one for the run."""
    verdicts = ["fail", "inconclusive", "pass", "pass"]
    objectives = [asked(name, verdict, why) for name, verdict in zip(names, verdicts, strict=False)]
    run = REPORT["run"] | {"scenario": names[0], "lake": why}
    text = junit.render(REPORT | {"run": run, "objectives": objectives, "doubts": doubts})
    found = [case.failed() for case in cases(text)]
    assert found == [bool(doubts), *(objective["verdict"] != "pass" for objective in objectives)]
    (suite,) = ElementTree.fromstring(text)
    written = [case.get("name") for case in suite.iter("testcase")]
    assert written == ["the run", *map(line, names)]
    told = {found.get("name"): found.get("value") for found in suite.iter("property")}
    assert told["id"] == REPORT["run"]["id"]
    assert told["lake"] == line(why)


@settings(deadline=None)
@given(st.lists(VERDICTS, max_size=5), st.booleans())
def test_every_case_passes_if_and_only_if_the_run_did(verdicts: list[str], is_doubted: bool) -> None:
    """What could not be decided is an error: no server shows it as a pass, as some do what was skipped."""
    doubts = ["the run did not end"] if is_doubted else []
    report = REPORT | {"objectives": [asked(verdict=verdict) for verdict in verdicts], "doubts": doubts}
    text = junit.render(report)
    counted = re.search(r'<testsuites .*tests="(\d+)" failures="(\d+)" errors="(\d+)" skipped="(\d+)"', text)
    assert counted is not None
    tests, failures, errors, skipped = map(int, counted.groups())
    assert tests == len(verdicts) + 1
    assert failures == verdicts.count("fail")
    assert errors == verdicts.count("inconclusive") + is_doubted
    assert skipped == text.count("<skipped") == 0
    passed = [not case.failed() for case in cases(text)]
    assert passed == [not is_doubted, *(verdict == "pass" for verdict in verdicts)]


def test_junit_says_what_was_observed_and_why() -> None:
    """In the message, which Jenkins shows, and in the text, which GitLab shows."""
    run = make_up(seed=2, trouble=0.3)
    run.events.insert(-1, Note(BEGIN + 61, "interrupted", "SIGTERM"))
    text = to_junit(report_of(run))
    whole, success, lateness, rules, _ = cases(text)
    assert [whole.name, success.name, lateness.name] == ["the run", *OBJECTIVES[:2]]
    assert whole.failed()
    assert whole.failure == whole.failure_msg == "the run was interrupted"
    assert success.failure == success.failure_msg == "observed 81.6666 %"
    assert (lateness.failed(), lateness.stdout) == (False, "observed 997ms, of 112")
    assert rules.failure_msg == "nothing observed; it needs 20 measurements, there are 5"
    assert rules.failure == "nothing observed\nit needs 20 measurements, there are 5"
    assert 'type="inconclusive"' in text
    assert whole.duration == pytest.approx(78, abs=1)


def test_a_run_without_objectives_has_no_case_that_passes() -> None:
    """Nothing to judge by is nothing passed."""
    (whole,) = cases(to_junit(report_of(make_up(trouble=0), ())))
    assert whole.failed()
    assert "no objective" in whole.failure_msg


class Tables(HTMLParser):
    """The tables of a page, cell by cell, and its headings and paragraphs."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.others: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self._into: list[str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [str(value) for name, value in attrs if name == "href"]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self._into = self.tables[-1][-1]
            self._into.append("")
        elif tag in {"p", "h1", "h2", "h3"}:
            self._into = self.others
            self._into.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th", "p", "h1", "h2", "h3"}:
            self._into = None

    def handle_data(self, text: str) -> None:
        if self._into is not None:
            self._into[-1] += text


def shown(text: str) -> Tables:
    """Return what GitHub's own renderer makes of Markdown."""
    return Tables(cmarkgfm.github_flavored_markdown_to_html(text))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=NASTY, other=NASTY)
@example(name="a|b", other="c\\|d")
@example(name="`a", other="b``c`")
@example(name="https://x/a_b_c*", other="www.a_b_.c")
@example(name="_a_", other="a_b __c__ _")
@example(name="<b>&amp;</b>", other="![i](u) [l](u) ~~s~~")
def test_markdown_shows_any_text_as_it_is(name: str, other: str) -> None:
    """A name with pipes, backticks, tags or stars is one cell that reads as it was written."""
    experiment = next(iter(REPORT["experiments"].values()))
    link = REPORT["transfers"]["matrix"][0] | {"src": name or "x", "dst": other or "y"}
    report = REPORT | {
        "objectives": [asked(name, why=other)],
        "experiments": {name: experiment},
        "transfers": REPORT["transfers"] | {"matrix": [link]},
        "failures": [REPORT["failures"][0] | {"reason": name, "example": other}],
    }
    page = shown(markdown.render(report))
    objectives, files, _, transfers, failures, _ = page.tables
    assert read(objectives[1][0]) == plain(name)
    assert [len(row) for table in page.tables for row in table] == [
        len(table[0]) for table in page.tables for row in table
    ]
    assert read(objectives[1][3]) == (f"pass: {plain(other)}" if other else "pass")
    assert read(files[1][0]) == plain(name)
    assert [read(text) for text in transfers[1][:2]] == [plain(name or "x"), plain(other or "y")]
    assert [read(text) for text in failures[1][2:]] == [plain(name), plain(other)]
    # An address of mail cannot be kept from becoming a link, which changes nothing of what is read.
    assert [link for link in page.links if not link.startswith("mailto:")] == []
    assert not page.tags & {"img", "script", "b", "em", "strong", "del", "code"}


def plain(text: str) -> str:
    """Return a text as one line may show it; nothing is shown as a dash."""
    line = " ".join(text.split())
    return re.sub("[\x00-\x1f\x7f-\x9f]", "\ufffd", line) or words.NOTHING


def read(cell: str) -> str:
    return " ".join(cell.split())


def test_markdown_tells_what_the_report_does() -> None:
    """Verdict, objectives, files, links and failures are those of report.json."""
    report = told()
    page = shown(to_markdown(report_of(make_up(seed=2, trouble=0.3))))
    assert page.others[0] == "smoke: FAIL"
    assert page.others[1] == words.sentences(words.reasons(report))
    objectives, files, _, transfers, failures, services = page.tables
    assert [row[0] for row in objectives[1:]] == list(OBJECTIVES)
    assert [row[3].split(":")[0] for row in objectives[1:]] == ["fail", "pass", "inconclusive", "pass"]
    for row, (name, found) in zip(files[1:], report["experiments"].items(), strict=True):
        counts = (found["files"][key] for key in ("planned", "ok", "failed", "unknown", "dropped"))
        assert row[:6] == [name, *map(str, counts)]
    assert sum(int(row[2]) for row in transfers[1:]) == report["transfers"]["done"]
    assert sum(int(row[1]) for row in failures[1:]) == sum(row["count"] for row in report["failures"])
    assert len(services) == 1 + len(report["services"])
    assert page.others[-1].startswith("Not audited")


def test_markdown_of_a_day_fits_a_summary() -> None:
    """GitHub takes 1 MiB: long lists are cut, and it says how much more there is."""
    link, failure = REPORT["transfers"]["matrix"][0], REPORT["failures"][0] | {"example": "x" * 10_000}
    many = REPORT | {
        "transfers": REPORT["transfers"] | {"matrix": [link] * 500},
        "failures": [failure] * 3000,
    }
    text = markdown.render(many)
    assert len(text.encode()) < 100_000
    assert "And 480 more in the report." in text
    assert "And 2,980 more in the report." in text


def test_a_run_that_measured_nothing_has_a_summary() -> None:
    """Tables without rows are left out."""
    nothing = {"experiments": {}, "objectives": [], "phases": [], "services": [], "failures": []}
    transfers = REPORT["transfers"] | {"matrix": []}
    page = shown(markdown.render(REPORT | nothing | {"transfers": transfers}))
    assert (page.tables, page.others[0]) == ([], "smoke: FAIL")


@pytest.mark.parametrize(("form", "begins"), [("junit", "<?xml "), ("markdown", "## smoke: ")])
def test_the_command_writes_every_format(form: str, begins: str, tmp_path: Path) -> None:
    """To standard output and to a file the same, from the run's directory alone."""
    run = make_up(trouble=0)
    (tmp_path / "scenario.yaml").write_bytes((SCENARIOS / "smoke.yaml").read_bytes())

    async def write() -> None:
        journal = Journal.create(tmp_path / "journal.sqlite", run.started)
        journal.record(*run.events)
        await journal.close()

    asyncio.run(write())
    command = [sys.executable, "-m", "fdr", "report", str(tmp_path), "--format", form]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    file = tmp_path / "told"
    subprocess.run([*command, "-o", str(file)], timeout=60, check=True)
    assert said.startswith(begins)
    assert said == f"{file.read_text()}\n"
    assert "upload.success" in said
