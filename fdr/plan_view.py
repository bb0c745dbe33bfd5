"""Show what a scenario would do: tables for people, JSON for scripts."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from fdr.forecast import Forecast, forecast
from fdr.model import Action, Kind
from fdr.plan import digest, plan
from fdr.units import format_duration, format_rate, format_size

if TYPE_CHECKING:
    from rich.console import Console

    from fdr.model import Limits, Scenario

FIRST_ACTIONS = 10
BUSIEST_LINKS = 5


def show_plan(scenario: Scenario, console: Console) -> None:
    """Print a scenario's experiments, RSEs, busiest links, first actions, digest, and what does not fit."""
    needs = forecast(scenario)
    console.print(_head(scenario, needs), highlight=False)
    console.print(_experiments(needs))
    console.print(_rses(needs))
    if needs.links:
        console.print(_links(needs))
    console.print(_first_actions(scenario))
    calls = ", ".join(f"{count:,} {kind}" for kind, count in needs.calls.items())
    console.print(
        Text.assemble("REST calls, at least: ", calls, "; ", f"{sum(needs.calls.values()):,} in all")
    )
    if limits := limits_said(scenario.limits):
        console.print(Text(f"It ends early at: {limits}"), soft_wrap=True)
    console.print(Text.assemble("digest: ", (digest(scenario), "cyan")), soft_wrap=True)
    if not needs.warnings:
        console.print(Text("It fits: no quota, account limit or impact budget is exceeded.", "green"))
        return
    console.print(Text("It does not fit:", "bold red"))
    for warning in needs.warnings:
        console.print(Text(f"  {warning}", "red"))


def plan_as_json(scenario: Scenario) -> dict[str, Any]:
    """Return the same as a mapping for JSON; sizes in bytes, times in seconds."""
    needs = forecast(scenario)
    return {
        "schema": "fdr-plan/1",
        "scenario": scenario.name,
        "seed": scenario.seed,
        "scale": scenario.scale,
        "size_scale": scenario.size_scale,
        "speed": scenario.speed,
        "duration_s": scenario.duration_s,
        "wall_s": needs.wall_s,
        "digest": digest(scenario),
        "files": needs.files,
        "bytes": needs.bytes,
        "transfers": needs.transfers,
        "calls": dict(needs.calls),
        "experiments": [asdict(part) for part in needs.experiments],
        "rses": [asdict(part) | {"total_bytes": part.total_bytes} for part in needs.rses],
        "links": [asdict(part) for part in needs.links],
        "accounts": [asdict(part) for part in needs.accounts],
        "limits": asdict(scenario.limits),
        "first_actions": [asdict(action) for action in islice(plan(scenario), FIRST_ACTIONS)],
        "warnings": list(needs.warnings),
        "fits": not needs.warnings,
    }


def limits_said(limits: Limits) -> str:
    """Return what ends a run early, in words; requests per second only slow it down."""
    said = [] if limits.files is None else [f"{limits.files:,} files"]
    said += [] if limits.volume_bytes is None else [format_size(limits.volume_bytes)]
    return ", ".join([*said, *limits.abort_when])


def _head(scenario: Scenario, needs: Forecast) -> Text:
    head = Text.assemble(
        (scenario.name, "bold"),
        f": {needs.files:,} files, {format_size(needs.bytes)}, in {format_duration(needs.wall_s)} "
        f"({format_rate(needs.files / needs.wall_s)})",
    )
    changed = [
        f"{what} {value:g}"
        for what, value in (
            ("scale", scenario.scale),
            ("size scale", scenario.size_scale),
            ("speed", scenario.speed),
        )
        if value != 1
    ]
    return head.append(f"; {', '.join([*changed, f'seed {scenario.seed}'])}")


def _table(title: str, *columns: str) -> Table:
    """Return an empty table; a column whose name begins with > is of numbers."""
    table = Table(
        title=f"\n{title}",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for column in columns:
        name = column.removeprefix(">")
        table.add_column(name, justify="right" if name != column else "left", no_wrap=True)
    return table


def _experiments(needs: Forecast) -> Table:
    table = _table(
        "Experiments", "experiment", ">files", ">volume", ">datasets", ">rules", ">transfers", ">rate"
    )
    for part in needs.experiments:
        table.add_row(
            part.experiment,
            f"{part.files:,}",
            format_size(part.bytes),
            f"{part.datasets:,}",
            f"{part.rules:,}",
            _about(part.transfers),
            format_rate(part.files_per_second),
        )
    if len(needs.experiments) > 1:
        table.add_section()
        table.add_row(
            "together",
            f"{needs.files:,}",
            format_size(needs.bytes),
            f"{sum(part.datasets for part in needs.experiments):,}",
            f"{sum(part.rules for part in needs.experiments):,}",
            _about(needs.transfers),
            format_rate(needs.files / needs.wall_s),
        )
    return table


def _rses(needs: Forecast) -> Table:
    table = _table("RSEs", "RSE", "QoS", ">uploaded", ">by rules", ">expected", ">quota", ">filled")
    for part in needs.rses:
        share = part.total_bytes / part.quota_bytes if part.quota_bytes else None
        full = share is not None and share > 1
        table.add_row(
            part.rse,
            part.qos or "",
            _size(part.uploaded_bytes),
            _size(part.copied_bytes),
            _size(part.total_bytes),
            "" if part.quota_bytes is None else format_size(part.quota_bytes),
            "" if share is None else Text(_percent(share), "bold red" if full else ""),
        )
    return table


def _links(needs: Forecast) -> Table:
    busiest = sorted(needs.links, key=lambda link: link.bytes, reverse=True)[:BUSIEST_LINKS]
    shown = f"the busiest {len(busiest)} of {len(needs.links)}" if len(needs.links) > len(busiest) else "all"
    table = _table(f"Links ({shown})", "from", "to", ">files", ">volume", ">on average")
    for link in busiest:
        rate = f"{format_size(link.bytes / needs.wall_s)}/s"
        table.add_row(link.src, link.dst, _about(link.files), format_size(link.bytes), rate)
    return table


def _first_actions(scenario: Scenario) -> Table:
    table = _table(f"First {FIRST_ACTIONS} actions", ">due", "action", "experiment", "what", "where", ">size")
    for action in islice(plan(scenario), FIRST_ACTIONS):
        table.add_row(
            format_duration(action.due_s),
            action.kind.value,
            action.experiment,
            f"dataset {action.dataset}" if action.file is None else f"file {action.file}",
            _where(action, scenario),
            format_size(action.size_bytes) if action.kind is Kind.UPLOAD else "",
        )
    return table


def _where(action: Action, scenario: Scenario) -> str:
    if action.rule is not None:
        return scenario.experiments[action.experiment].rules[action.rule].to
    return action.rse or ""


def _about(count: float) -> str:
    """Print an expected count: whole where it is."""
    return f"{round(count):,}" if abs(count - round(count)) < 1e-6 * max(1, count) else f"~{round(count):,}"


def _size(size_bytes: float) -> str:
    return format_size(size_bytes) if size_bytes else "-"


def _percent(share: float) -> str:
    return "<1%" if 0 < share < 0.01 else f"{share:.0%}"
