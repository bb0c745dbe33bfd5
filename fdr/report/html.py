"""Render a report as one HTML page that needs no network, no script and no other file."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fdr.report import plots, words


def render(report: dict[str, Any]) -> str:
    """Return the page; the same report gives the same bytes."""
    environment = Environment(
        loader=PackageLoader("fdr.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html.j2")
    return template.render(
        report=report,
        words=words,
        matrix=matrix(report["transfers"]["matrix"]),
        timeline=Markup(plots.timeline(report["timeline"])),
        phases=Markup(plots.phases(report["phases"])),
    )


def matrix(links: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the links as rows of sources and columns of destinations, each with its heat from 0 to 1."""
    cells = {(link["src"], link["dst"]): link for link in links}
    most = max((link["done"] + link["failed"] for link in links), default=0)
    return {
        "sources": sorted({link["src"] for link in links}),
        "destinations": sorted({link["dst"] for link in links}),
        "cells": cells,
        "heat": {
            key: round((link["done"] + link["failed"]) / most, 3) if most else 0.0
            for key, link in cells.items()
        },
    }
