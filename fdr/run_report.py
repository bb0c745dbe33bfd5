"""The report of a run, from its directory alone."""

from __future__ import annotations

import asyncio
from io import StringIO

from rich.console import Console

from fdr.journal.reader import read_journal
from fdr.live import show
from fdr.model import Scenario
from fdr.planned import planned
from fdr.report.make import Report, make_report, print_summary, to_html, to_json_text
from fdr.rundir import RunDir
from fdr.scenario.load import load_scenario


def scenario_of(directory: RunDir) -> Scenario:
    """Return the scenario of a run as it was run."""
    with read_journal(directory.journal) as reader:
        started = reader.started
    return load_scenario(
        directory.scenario, scale=started.scale, size_scale=started.size_scale, speed=started.speed
    )


def report_of(directory: RunDir) -> Report:
    """Return the report of a run, from its directory alone."""
    scenario = scenario_of(directory)
    return make_report(directory.journal, planned(scenario), scenario.objectives, scenario.rses)


def write_report(directory: RunDir) -> Report:
    """Write a run's report files and return the report."""
    report = report_of(directory)
    directory.json.write_text(to_json_text(report))
    directory.html.write_text(to_html(report))
    return report


def summary_text(report: Report) -> str:
    """Return the summary for the terminal as plain text."""
    text = StringIO()
    print_summary(report, Console(file=text, width=100, force_terminal=False))
    return text.getvalue()


def watch(directory: RunDir, console: Console) -> None:
    """Show a run until it has ended, or until this process is interrupted."""
    asyncio.run(show(directory.journal, planned(scenario_of(directory)), console, asyncio.Event()))
