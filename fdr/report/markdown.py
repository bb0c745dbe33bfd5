"""Render a report as Markdown with GitHub's tables, for the summary of a CI job or an issue."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from fdr.report import words

LINKS_SHOWN = FAILURES_SHOWN = SERVICES_SHOWN = 20  # GitHub takes a summary of 1 MiB
EXAMPLE_LENGTH = 300
# What Markdown would read as more than itself: the beginnings of bare links too, and the ends of _emphasis_.
SPECIAL = re.compile(r"[\\`*\[\]<>|~&$]|_(?![^\W_])|:(?=/)|(?<=www)\.")
CONTROL = re.compile("[\u0000-\u001f\u007f-\u009f]")


def render(report: dict[str, Any]) -> str:
    """Return the text; the same report gives the same text."""
    links = sorted(report["transfers"]["matrix"], key=lambda link: -(link["done"] + link["failed"]))
    services = sorted(report["services"], key=lambda use: (-use["restarts"], -use["cpu_mean"]))
    text = _template().render(
        report=report,
        words=words,
        links=links[:LINKS_SHOWN],
        services=services[:SERVICES_SHOWN],
        failures=report["failures"][:FAILURES_SHOWN],
        phases=[phase for phase in report["phases"] if phase["sample"]],
        example_length=EXAMPLE_LENGTH,
    )
    return re.sub("\n{3,}", "\n\n", text.lstrip("\n"))


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("fdr.report"),
        autoescape=False,  # everything from outside goes through ``cell`` instead: this is not HTML
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = cell
    return environment.get_template("report.md.j2")


def cell(text: str) -> str:
    """Return a text as Markdown that shows it as it is, on one line, in a table or outside."""
    line = CONTROL.sub("\ufffd", " ".join(text.split()))
    return SPECIAL.sub(r"\\\g<0>", line) or words.NOTHING
