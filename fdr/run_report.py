"""The report of a run, from its directory alone."""

from __future__ import annotations

import asyncio
from io import StringIO

from rich.console import Console

from fdr.live import show
from fdr.planned import planned
from fdr.recorded_run import recorded_run
from fdr.report.make import Report, make_report, print_summary, to_html, to_json_text
from fdr.rundir import RunDir, writing


def report_of(directory: RunDir) -> Report:
    """Return the report of a run, from its directory alone."""
    scenario = recorded_run(directory).scenario
    return make_report(directory.journal, planned(scenario), scenario.objectives, scenario.rses)


def write_report(directory: RunDir, report: Report) -> None:
    """Write a run's report files; raises UsageError when they cannot be written, as on a full disk."""
    for path, text in ((directory.json, to_json_text(report)), (directory.html, to_html(report))):
        with writing(path):
            path.write_text(text)


def summary_text(report: Report) -> str:
    """Return the summary for the terminal as plain text."""
    text = StringIO()
    print_summary(report, Console(file=text, width=100, force_terminal=False))
    return text.getvalue()


def watch(directory: RunDir, console: Console) -> None:
    """Show a run until it has ended, or until this process is interrupted."""
    asyncio.run(show(directory.journal, planned(recorded_run(directory).scenario), console, asyncio.Event()))
