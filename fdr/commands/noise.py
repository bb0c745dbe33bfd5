"""Make noise between all RSEs, for cron."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from fdr.commands.options import Json, Lake, PrometheusFile, Pushgateway, out, seconds, size_bytes
from fdr.errors import UsageError
from fdr.rundir import runs_root

EXIT_CODES = """
Exit codes: 0 all pairs ok; 1 a defect in fdr; 2 bad usage; 3 some pairs failed or are stuck; 4 none was
tried, some are still replicating, or Prometheus did not get the numbers; 5 the lake is not usable; 6 another
fdr noise is under way; 130 interrupted.
"""
SHORTEST_BEAT_S = 1.0


def noise(
    rses: Annotated[
        str, typer.Argument(metavar="[RSES]", help="Make noise between the RSEs of this RSE expression.")
    ] = "*",
    lake: Lake = "local",
    account: Annotated[
        str, typer.Option(help="The Rucio account to act as; that of the rucio.cfg, or noise, if left out.")
    ] = "",
    scope: Annotated[
        str, typer.Option(help="Its scope to write in; the only one that it owns if left out.")
    ] = "",
    size: Annotated[str, typer.Option(help="The size of a file.")] = "100 MB",
    mesh: Annotated[
        bool, typer.Option("--mesh", help="Upload a file for every pair of RSEs, not one for every RSE.")
    ] = False,
    lifetime: Annotated[str, typer.Option(help="How long what is made lives at most.")] = "1h",
    wait: Annotated[str, typer.Option(help="Wait so long at most for the rules.")] = "30m",
    clean_wait: Annotated[
        str, typer.Option(help="Wait so long for Rucio's daemons to delete what was made.")
    ] = "2m",
    keep: Annotated[int, typer.Option(min=1, help="Keep so many runs of noise in the runs directory.")] = 48,
    every: Annotated[
        str | None, typer.Option(help="Make noise again and again, such as every 1h, until interrupted.")
    ] = None,
    prometheus_file: PrometheusFile = None,
    pushgateway: Pushgateway = None,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Also print a matrix, and why pairs are not ok.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make noise, for cron: a file to every RSE, a rule from it to every other, and what became of each."""
    file_bytes = size_bytes("--size", size)
    every_s = None if every is None else seconds("--every", every)
    if every_s is not None and every_s < SHORTEST_BEAT_S:
        raise UsageError("--every: is too short (write for example 1h)")
    lifetime_s, wait_s = seconds("--lifetime", lifetime), seconds("--wait", wait)
    clean_wait_s = seconds("--clean-wait", clean_wait)
    if every_s is not None:
        from fdr.noise.repeat import on_beats

        options = {
            "--lake": lake,
            "--account": account,
            "--scope": scope,
            "--size": size,
            "--lifetime": lifetime,
            "--wait": wait,
            "--clean-wait": clean_wait,
            "--keep": keep,
            "--prometheus-file": prometheus_file,
            "--pushgateway": pushgateway,
        }
        flags = {"--mesh": mesh, "--verbose": verbose, "--json": as_json}
        words = [f"{name}={value}" for name, value in options.items() if value not in {None, ""}]
        words += [name for name, value in flags.items() if value]
        raise typer.Exit(on_beats([sys.executable, "-m", "fdr", "noise", *words, "--", rses], every_s))
    from fdr.noise import once  # what a pass needs takes a second to import
    from fdr.noise.make import Keeping
    from fdr.noise.recipe import Recipe
    from fdr.noise.telling import Telling

    recipe = Recipe(account, scope, rses, file_bytes, mesh, lifetime_s, wait_s)
    keeping = Keeping(runs_root(), keep, clean_wait_s)
    telling = Telling(out, Console(file=sys.stderr), as_json, verbose, prometheus_file, pushgateway)
    raise typer.Exit(once.noise(lake, recipe, keeping, telling))
