"""Arguments and options that several commands take, and what a command's help says of exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fdr.changes import Changes
from fdr.errors import UsageError
from fdr.units import parse_duration, parse_size

EXIT_CODES = """
Exit codes: 0 every objective passed; 1 a defect in fdr; 2 a bad scenario or usage; 3 an objective failed;
4 inconclusive; 5 the lake is not usable; 6 another fdr noise or probe is under way; 130 interrupted.
"""

out = Console()

ScenarioFile = Annotated[Path, typer.Argument(metavar="SCENARIO", help="A scenario file (YAML).")]
Scale = Annotated[float, typer.Option(help="Inject this many times the files: 0.001 is a thousandth.")]
SizeScale = Annotated[float, typer.Option(help="Make files this many times as large.")]
Speed = Annotated[float, typer.Option(help="Run this many times as fast: 24 makes a day an hour.")]
Duration = Annotated[str | None, typer.Option(help="Inject for so long instead, such as 30m.")]
Seed = Annotated[int | None, typer.Option(help="Draw with this seed instead.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a value: experiments.CTA.scope=cta2."),
]
Lake = Annotated[str, typer.Option(help="The lake: local (the embedded one), or the path of a rucio.cfg.")]
LakeOfRun = Annotated[
    str | None,
    typer.Option("--lake", help="Reach its lake another way: local, or the path of a rucio.cfg."),
]
PrometheusFile = Annotated[
    Path | None, typer.Option(help="Write numbers here, for node_exporter's textfile collector.")
]
Pushgateway = Annotated[str | None, typer.Option(help="Push numbers to the Pushgateway at this URL.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Run = Annotated[
    str | None, typer.Argument(metavar="[RUN]", help="A run directory or id; the latest if left out.")
]


def changes(
    sets: list[str] | None,
    scale: float = 1.0,
    size_scale: float = 1.0,
    speed: float = 1.0,
    duration: str | None = None,
    seed: int | None = None,
) -> Changes:
    """Return what the command line changes in a scenario."""
    return Changes(scale, size_scale, speed, duration, seed, tuple(sets or ()))


def size_bytes(option: str, text: str) -> int:
    """Return the bytes of a size that an option gives; raises UsageError that names the option."""
    try:
        return parse_size(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def seconds(option: str, text: str) -> float:
    """Return the seconds of a duration that an option gives; raises UsageError that names the option."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
