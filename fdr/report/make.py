"""Make the report of a run from its journal."""

from __future__ import annotations

import gc
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fdr.fold import fold
from fdr.journal.reader import read_journal
from fdr.judgement import judge_all, overall
from fdr.report.facts import Facts
from fdr.report.sections import (
    audit,
    experiments,
    failures,
    generator,
    objectives,
    phases,
    rses,
    run,
    services,
    timeline,
    transfers,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from fdr.metrics import Planned
    from fdr.model import Rse

Report = Facts

SCHEMA = "fdr-report/1"


def make_report(
    journal: Path, planned: Planned, objectives: Sequence[str], rses: Mapping[str, Rse]
) -> Report:
    """Read a journal, count and judge; works at any time of a run and after it was killed.

    Raises UsageError if there is no journal to read, ValueError if an objective cannot be read.
    """
    with read_journal(journal) as reader, _without_collection():
        metrics = fold(reader.started, planned, reader.events())
        examples = {failure.action for failure in metrics.failures if failure.action is not None}
        dids = reader.dids(examples)
    judgements = judge_all(objectives, metrics)
    verdict, doubts = overall(judgements, metrics)
    return Facts(metrics, judgements, verdict, doubts, rses, dids)


@contextmanager
def _without_collection() -> Iterator[None]:
    """Let nothing look for cycles meanwhile: events make none, and of a day there are millions of them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def to_json(report: Report) -> dict[str, Any]:
    """Return the report as the values of report.json; ``report.schema.json`` says what they are."""
    return {
        "schema": SCHEMA,
        "run": run.section(report),
        "verdict": report.verdict.value,
        "doubts": list(report.doubts),
        "objectives": objectives.section(report),
        "experiments": experiments.section(report),
        "timeline": timeline.section(report),
        "transfers": transfers.section(report),
        "phases": phases.section(report),
        "rses": rses.section(report),
        "services": services.section(report),
        "failures": failures.section(report),
        "audit": audit.section(report),
        "generator": generator.section(report),
    }


def to_json_text(report: Report) -> str:
    """Return report.json as text."""
    return json.dumps(to_json(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_html(report: Report) -> str:
    """Return the report as one page that needs nothing else."""
    from fdr.report.html import render  # draws plots, which costs a second and the memory of matplotlib

    return render(to_json(report))


def to_junit(report: Report) -> str:
    """Return the report as JUnit XML: every objective a case, and the run itself."""
    from fdr.report.junit import render

    return render(to_json(report))


def to_markdown(report: Report) -> str:
    """Return the report as Markdown with GitHub's tables."""
    from fdr.report.markdown import render

    return render(to_json(report))


def print_summary(report: Report, console: Console) -> None:
    """Print what a person wants to know first."""
    from fdr.report.terminal import show

    show(to_json(report), console)
