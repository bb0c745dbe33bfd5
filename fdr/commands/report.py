"""Report on a run from its directory alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fdr import run_report
from fdr.commands.options import Json, Run, out
from fdr.errors import UsageError
from fdr.report.make import print_summary, to_html, to_json_text, to_junit, to_markdown
from fdr.rundir import find_run_dir, writing

FORMATS = {
    "terminal": run_report.summary_text,
    "html": to_html,
    "json": to_json_text,
    "junit": to_junit,
    "markdown": to_markdown,
}


def report(
    run: Run = None,
    form: Annotated[str, typer.Option("--format", help=f"{', '.join(FORMATS)}.")] = "terminal",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Report on a run again, from its directory alone, also while it goes on or after it was killed."""
    made = run_report.report_of(find_run_dir(run))
    form = "json" if as_json else form
    if form not in FORMATS:
        raise UsageError(f"--format {form}: write one of {', '.join(FORMATS)}")
    if output is None and form == "terminal":
        print_summary(made, out)
        return
    text = FORMATS[form](made)
    if output is None:
        print(text)
    else:
        with writing(output):
            output.write_text(text)
