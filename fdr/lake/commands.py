"""The commands ``fdr lake …``: parse, call, print."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fdr.errors import UsageError
from fdr.lake import embedded
from fdr.lake.home import LakeHome
from fdr.lake.install import install as install_software
from fdr.lake.logs import follow, last_lines
from fdr.lake.prepare import prepare_embedded
from fdr.lake.settings import COPY_MODES
from fdr.lake.shell import exports
from fdr.lake.status import ServiceStatus, with_cpu
from fdr.lake.status import status as status_of
from fdr.scenario.load import load_scenario
from fdr.units import format_duration, format_size

app = typer.Typer(
    help="The embedded lake: real Rucio, PostgreSQL, XRootD, a broker and an FTS3 stand-in, on this machine.",
    no_args_is_help=True,
)
out = Console()
Dir = Annotated[Path | None, typer.Option("--dir", help="Keep the lake here instead of the usual place.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command()
def up(
    scenarios: Annotated[
        list[Path] | None, typer.Argument(metavar="[SCENARIO]...", help="Prepare the lake for these too.")
    ] = None,
    directory: Dir = None,
    fts: Annotated[str | None, typer.Option(help="Use the FTS at this URL; stand-in goes back.")] = None,
    copy: Annotated[
        str | None, typer.Option(help="How the stand-in copies: third-party, or streamed (faster).")
    ] = None,
) -> None:
    """Bring the lake up and wait until it really answers."""
    if copy is not None and copy not in COPY_MODES:
        raise UsageError(f"--copy {copy}: write one of {', '.join(COPY_MODES)}")
    loaded = [load_scenario(path) for path in scenarios or ()]
    home = LakeHome.default(directory)
    embedded.up(home, fts_url=fts, copy_mode=copy, say=_say)
    for scenario in loaded:
        _report(scenario.name, prepare_embedded(home, scenario, _say))


@app.command()
def prepare(
    scenarios: Annotated[list[Path], typer.Argument(metavar="SCENARIO...", help="Scenario files.")],
    directory: Dir = None,
) -> None:
    """Make the lake, which is up, ready for scenarios: RSEs, accounts, scopes, limits."""
    for scenario in [load_scenario(path) for path in scenarios]:
        _report(scenario.name, prepare_embedded(LakeHome.default(directory), scenario, _say))


@app.command()
def down(directory: Dir = None) -> None:
    """Take the lake down; what it holds stays for the next time."""
    embedded.down(LakeHome.default(directory), _say)


@app.command()
def reset(directory: Dir = None) -> None:
    """Take the lake down and remove all it holds."""
    embedded.reset(LakeHome.default(directory), _say)


@app.command()
def status(directory: Dir = None, as_json: Json = False) -> None:
    """Show every service: state, process, CPU, memory, restarts."""
    home = LakeHome.default(directory)
    rows = with_cpu(lambda: status_of(home))
    if as_json:
        print(json.dumps([{**asdict(row), "cpu": cpu} for row, cpu in rows], indent=2))
    else:
        out.print(_table(rows))


@app.command()
def logs(
    service: Annotated[
        str | None, typer.Argument(help="A service, as status names it; all if left out.")
    ] = None,
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, help="So many lines of each.")] = 20,
    following: Annotated[bool, typer.Option("-f", "--follow", help="Go on as the logs grow.")] = False,
    directory: Dir = None,
) -> None:
    """Show the ends of the services' logs."""
    home = LakeHome.default(directory)
    for line in last_lines(home, service, lines):
        print(line)
    if following:
        for line in follow(home, service):
            print(line, flush=True)


@app.command()
def env(directory: Dir = None) -> None:
    """Print what makes a shell, and the stock rucio command in it, use the lake: eval "$(fdr lake env)"."""
    print(exports(LakeHome.default(directory)))


@app.command()
def install() -> None:
    """Install the software of the lake's services, without starting any."""
    out.print(f"the lake's software is in {install_software(_say).parents[1]}", highlight=False)


def _say(text: str) -> None:
    out.print(text, highlight=False)


def _report(scenario: str, changed: list[str]) -> None:
    _say(f"the lake is ready for {scenario} ({len(changed)} changes)")


def _table(rows: list[tuple[ServiceStatus, float]]) -> Table:
    table = Table("service", "state", "pid", "processes", "CPU", "memory", "restarts", "up for", box=None)
    for column in table.columns[2:]:
        column.justify = "right"
    for row, cpu in rows:
        table.add_row(
            row.service,
            f"{row.state}: {row.why}" if row.why else row.state,
            str(row.pid or ""),
            str(row.processes),
            f"{cpu:.2f}",
            format_size(row.memory_bytes),
            str(row.restarts),
            format_duration(row.uptime_s),
        )
    return table
