"""Draw the plots of a report as SVG that takes its colours from the page."""

from __future__ import annotations

import io
import math
import re
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from fdr.report import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colours that matplotlib draws with, and what the page puts in their place.
INK, GRID, DUE, DONE, TAIL = "#010101", "#020202", "#030303", "#040404", "#050505"
PAGE_COLOURS = {
    INK: "var(--ink)",
    GRID: "var(--line)",
    DUE: "var(--muted)",
    DONE: "var(--accent)",
    TAIL: "var(--accent-soft)",
}
COLUMNS = 3
TICKS_S = (1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
PANEL_INCHES = (3.0, 1.7)
STYLE: Any = {  # matplotlib types the keys one by one
    "svg.hashsalt": "fdr",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def timeline(line: dict[str, Any]) -> str:
    """Return files due and registered so far, over time, a panel an experiment; nothing if there are none."""
    experiments = line["experiments"]
    if not experiments:
        return ""
    columns = min(COLUMNS, len(experiments))
    rows = math.ceil(len(experiments) / columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PANEL_INCHES[0] * columns, PANEL_INCHES[1] * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False)
        for panel in panels.flat[len(experiments) :]:
            panel.set_axis_off()
        for panel, (name, counts) in zip(panels.flat, experiments.items(), strict=False):
            _timeline_panel(panel, name, counts, line["width_s"])
        return _svg(figure, "timeline", "Files due and files registered so far, over time, per experiment")


def _timeline_panel(panel: Axes, name: str, counts: dict[str, list[int]], width_s: float) -> None:
    edges = [width_s * number for number in range(len(counts["due"]) + 1)]
    due, registered = ([0, *accumulate(counts[key])] for key in ("due", "registered"))
    panel.fill_between(edges, registered, color=DONE, alpha=0.85, linewidth=0)
    panel.plot(edges, due, color=DUE, linewidth=1.4)
    panel.set_title(name, loc="left", fontsize=9)
    panel.set_xlim(0, edges[-1])
    panel.set_ylim(bottom=0)
    panel.xaxis.set_major_locator(MultipleLocator(_tick_s(edges[-1])))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda at, _: words.duration(at) if at else "0"))
    panel.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda count, _: words.number(count)))


def _tick_s(span_s: float) -> float:
    """Return the least round time that is in the span four times at most."""
    return next((step for step in TICKS_S if span_s <= 4 * step), span_s / 4)


def phases(found: list[dict[str, Any]]) -> str:
    """Return the phases as ranges from p50 to maximum on a logarithmic axis; nothing if none was measured."""
    measured = [phase for phase in found if phase["sample"] and phase["max"] is not None and phase["max"] > 0]
    if not measured:
        return ""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.0, 0.5 + 0.3 * len(measured)), layout="constrained")
        axes = figure.subplots()
        for row, phase in enumerate(reversed(measured)):
            _phase_row(axes, row, phase)
        axes.set_yticks(range(len(measured)), [phase["phase"] for phase in reversed(measured)])
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: words.duration(at)))
        axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
        axes.grid(axis="x", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(axis="both", length=0)
        axes.set_ylim(-0.6, len(measured) - 0.4)
        return _svg(figure, "phases", "Phases, from median to maximum, in seconds on a logarithmic axis")


def _phase_row(axes: Axes, row: int, phase: dict[str, Any]) -> None:
    least = 1e-3  # a log axis has no zero: less than a millisecond is drawn as one
    marks = {key: max(least, phase[key]) for key in ("p50", "p95", "p99", "max") if phase[key] is not None}
    axes.hlines(row, min(marks.values()), max(marks.values()), color=TAIL, linewidth=5)
    for key, marker in (("p50", "o"), ("p95", "D"), ("p99", "s"), ("max", "|")):
        if key in marks:
            axes.plot(marks[key], row, marker=marker, markersize=5, color=DONE, linestyle="none")


def _svg(figure: Figure, name: str, title: str) -> str:
    """Return the figure as an SVG element: no date, no fixed colours, ids that no other plot has."""
    buffer = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Type": None, "Format": None}
    figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    for drawn, shown in PAGE_COLOURS.items():
        svg = svg.replace(drawn, shown)
    svg = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(
        r'<svg[^>]*viewBox="([^"]*)"[^>]*>',
        rf'<svg viewBox="\1" role="img" aria-label="{title}">',
        svg,
        count=1,
    )
    return re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
