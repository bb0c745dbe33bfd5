"""Probe the storages and the FTS of a lake, for cron."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fdr.commands.options import Json, Lake, PrometheusFile, Pushgateway, out, seconds, size_bytes

EXIT_CODES = """
Exit codes: 0 all that was tried is ok; 1 a defect in fdr; 2 bad usage; 3 something failed; 4 nothing was
tried, or Prometheus did not get the numbers; 5 the lake is not usable; 6 another fdr probe is under way;
130 interrupted.
"""


class Only(StrEnum):
    """One half of a probe."""

    STORAGES = "storages"
    TRANSFERS = "transfers"


def probe(
    rses: Annotated[
        str, typer.Argument(metavar="[RSES]", help="Probe the RSEs of this RSE expression.")
    ] = "*",
    lake: Lake = "local",
    scenario: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Probe the RSEs of this scenario instead.")
    ] = None,
    account: Annotated[
        str, typer.Option(help="The Rucio account to ask as; that of the rucio.cfg if left out.")
    ] = "",
    only: Annotated[Only | None, typer.Option(help="Try the storages only, or the transfers.")] = None,
    size: Annotated[str, typer.Option(help="The size of a file.")] = "1 MB",
    timeout: Annotated[str, typer.Option(help="A step at a storage takes so long at most.")] = "30s",
    transfer_timeout: Annotated[
        str, typer.Option(help="Cancel a transfer that has not ended by then.")
    ] = "5m",
    prometheus_file: PrometheusFile = None,
    pushgateway: Pushgateway = None,
    verbose: Annotated[
        bool,
        typer.Option("-v", "--verbose", help="Also print the matrices and reasons, as at a terminal."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Probe a lake, for cron: put, stat, checksum, get, delete by every protocol; FTS between all RSEs."""
    file_bytes = size_bytes("--size", size)
    timeout_s, transfer_timeout_s = (
        seconds("--timeout", timeout),
        seconds("--transfer-timeout", transfer_timeout),
    )
    from fdr.exposition import Prometheus  # what a probe needs takes a second to import
    from fdr.probe import once
    from fdr.probe.asked import Asked, Part
    from fdr.probe.telling import Telling
    from fdr.scenario.load import load_scenario

    names = tuple(load_scenario(scenario).rses) if scenario is not None else None
    parts = frozenset(Part) if only is None else frozenset({Part(only)})
    asked = Asked(rses, names, account, file_bytes, timeout_s, transfer_timeout_s, parts)
    prometheus = Prometheus(prometheus_file, pushgateway)
    telling = Telling(out, Console(file=sys.stderr), prometheus, as_json, verbose)
    raise typer.Exit(once.probe(lake, asked, telling))
