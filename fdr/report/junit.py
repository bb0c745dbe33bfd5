"""Render a report as JUnit XML, which CI servers show: an objective is a case, and so is the run itself.

What could not be decided is an error, never skipped: docs/decisions/junit-cases.md says why.
"""

from __future__ import annotations

import re
from datetime import datetime
from io import BytesIO
from typing import Any

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from fdr.report import words

RESULTS = {"fail": Failure, "inconclusive": Error}
PROPERTIES = (
    "id", "lake", "rucio_version", "fdr_version", "seed", "scale", "size_scale", "speed", "plan_digest"
)  # fmt: skip
# All but what XML 1.0 takes as characters: a storage may have said anything.
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(report: dict[str, Any]) -> str:
    """Return the document; every one of its cases passes if, and only if, the run did."""
    run = report["run"]
    suite = TestSuite(_line(run["scenario"]))
    suite.timestamp = run["started_at"][:19]  # in UTC; Ant writes no zone
    for key in PROPERTIES:
        suite.add_property(key, _line(str(run[key])))
    suite.add_testcases([_run(report), *(_objective(run, asked) for asked in report["objectives"])])
    document = JUnitXml("fdr")
    document += [suite]  # and its counts; a bare suite would lose its properties
    written = BytesIO()
    document.write(written, pretty=True)
    return written.getvalue().decode()


def _run(report: dict[str, Any]) -> TestCase:
    """Return the case of the run itself: whether it may pass whatever its numbers are, and its time."""
    run = report["run"]
    case = _case(run, "the run")
    moments = run["started_at"], run["last_event_at"] or run["started_at"]
    begun, last = (datetime.fromisoformat(moment) for moment in moments)
    case.time = max(0.0, (last - begun).total_seconds())
    _conclude(case, "inconclusive" if report["doubts"] else "pass", report["doubts"], words.verdict(report))
    return case


def _objective(run: dict[str, Any], asked: dict[str, Any]) -> TestCase:
    """Return the case of an objective; what was observed stands where each CI server shows it."""
    seen = asked["observed"]
    observed = "nothing observed" if seen is None else f"observed {words.observed(seen, asked['unit'])}"
    case = _case(run, asked["text"])
    why = [asked["why"]] if asked["why"] else []
    _conclude(case, asked["verdict"], [observed, *why], f"{observed}, of {words.number(asked['sample'])}")
    return case


def _case(run: dict[str, Any], name: str) -> TestCase:
    return TestCase(_line(name), classname=_line(run["scenario"]), time=0)


def _conclude(case: TestCase, verdict: str, reasons: list[str], out: str) -> None:
    """Give a case its result: the message is an attribute to some CI servers, the text to others."""
    case.system_out = _text(out)
    if verdict in RESULTS:
        result = RESULTS[verdict](_line("; ".join(reasons)), verdict)
        result.text = _text("\n".join(reasons))
        case.result = [result]


def _text(text: str) -> str:
    """Return a text with a mark in place of every character that XML cannot hold."""
    return NOT_XML.sub("\ufffd", text)


def _line(text: str) -> str:
    """Return such a text on one line: an attribute has no other."""
    return " ".join(_text(text).split())
