"""Print a report for a person at a terminal: 80 columns, readable without colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from fdr.report import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

STYLES = {"pass": "bold green", "inconclusive": "bold yellow", "fail": "bold red"}
LINKS_SHOWN = 8
FAILURES_SHOWN = 5
SERVICES_SHOWN = 5


def show(report: dict[str, Any], console: Console) -> None:
    """Print the verdict last, where a terminal leaves the eye, and what it rests on above it."""
    run = report["run"]
    console.print(Text(f"{run['scenario']}, run {run['id']}", style="bold"))
    console.print(Text(f"{words.moment(run['started_at'])} to {_end(run)}, on {run['lake']}{_mode(run)}"))
    for table in (
        _experiments(report["experiments"]),
        _phases(report["phases"]),
        _transfers(report["transfers"]),
        _services(report["services"]),
        _failures(report["failures"]),
        Text(words.generator(report["generator"])),
        Text(words.audit(report["audit"])),
        _objectives(report["objectives"]),
    ):
        if table is not None:
            console.print()
            console.print(table)
    console.print()
    console.print(_verdict(report))


def _end(run: dict[str, Any]) -> str:
    return words.moment(run["ended_at"]) if run["ended"] else "an unknown end"


def _mode(run: dict[str, Any]) -> str:
    return f", {run['copy_mode']} copies" if run["copy_mode"] else ""


def _table(title: str, first: str, others: Sequence[str]) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _experiments(experiments: dict[str, Any]) -> Table | None:
    if not experiments:
        return None
    columns = ("planned", "ok", "failed", "unknown", "dropped", "missed", "volume", "rules OK")
    table = _table("Files", "experiment", columns)
    for name, found in experiments.items():
        files, rules = found["files"], found["rules"]
        counts = (files[key] for key in ("planned", "ok", "failed", "unknown", "dropped", "not_reached"))
        table.add_row(
            Text(name),
            *(words.number(count) for count in counts),
            words.size(found["bytes"]["ok"]),
            f"{words.number(rules['ok'])}/{words.number(rules['planned'])}",
        )
    return table


def _phases(phases: list[dict[str, Any]]) -> Table | None:
    measured = [phase for phase in phases if phase["sample"]]
    if not measured:
        return None
    table = _table("Phases", "phase", ("p50", "p95", "p99", "max", "sample"))
    for phase in measured:
        times = (words.duration(phase[key]) for key in ("p50", "p95", "p99", "max"))
        table.add_row(phase["phase"], *times, words.number(phase["sample"]))
    return table


def _transfers(transfers: dict[str, Any]) -> Table | None:
    links = sorted(transfers["matrix"], key=lambda link: -(link["done"] + link["failed"]))
    if not links:
        return None
    total = f"{words.number(transfers['done'])} done, {words.number(transfers['failed'])} failed"
    table = _table(f"Transfers: {total}", "from, to", ("done", "failed", "volume", "speed"))
    for link in links[:LINKS_SHOWN]:
        table.add_row(
            Text(f"{link['src'] or '?'} > {link['dst'] or '?'}"),
            words.number(link["done"]),
            words.number(link["failed"]),
            words.size(link["bytes"]),
            words.speed(link["bytes_per_second"]),
        )
    if len(links) > LINKS_SHOWN:
        table.caption = f"and {len(links) - LINKS_SHOWN} more links in the report"
    return table


def _services(services: list[dict[str, Any]]) -> Table | None:
    if not services:
        return None
    busiest = sorted(services, key=lambda use: (-use["restarts"], -use["cpu_mean"]))
    columns = ("cores", "peak", "memory", "peak", "restarts")
    table = _table("Services, those restarted and the busiest first", "service", columns)
    for use in busiest[:SERVICES_SHOWN]:
        table.add_row(
            Text(use["service"]),
            words.cores(use["cpu_mean"]),
            words.cores(use["cpu_peak"]),
            words.size(use["memory_mean"]),
            words.size(use["memory_peak"]),
            words.number(use["restarts"]),
        )
    if len(services) > SERVICES_SHOWN:
        table.caption = f"and {len(services) - SERVICES_SHOWN} more in the report"
    return table


def _failures(failures: list[dict[str, Any]]) -> Table | None:
    if not failures:
        return None
    table = _table("Failed attempts", "what", ("count",))
    table.add_column("reason", overflow="fold")
    for failure in failures[:FAILURES_SHOWN]:
        what = f"{failure['operation']} {failure['ending']}"
        table.add_row(what, words.number(failure["count"]), Text(failure["reason"]))
    if len(failures) > FAILURES_SHOWN:
        table.caption = f"and {len(failures) - FAILURES_SHOWN} more in the report"
    return table


def _objectives(objectives: list[dict[str, Any]]) -> Table | None:
    if not objectives:
        return None
    table = _table("Objectives", "objective", ("observed", "sample"))
    table.add_column("verdict", no_wrap=True)
    for objective in objectives:
        asked = Text(objective["text"])
        if objective["why"]:
            asked.append(f"\n  {objective['why']}", style="dim")
        table.add_row(
            asked,
            words.observed(objective["observed"], objective["unit"]),
            words.number(objective["sample"]),
            Text(objective["verdict"], style=STYLES[objective["verdict"]]),
        )
    return table


def _verdict(report: dict[str, Any]) -> Text:
    text = Text(words.verdict(report))
    text.highlight_words([report["verdict"].upper()], STYLES[report["verdict"]])
    return text
