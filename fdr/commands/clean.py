"""Remove a run from its lake."""

from __future__ import annotations

from typing import Annotated

import typer

from fdr.commands.options import Json, LakeOfRun, out
from fdr.rundir import find_run_dir

EXIT_CODES = """
Exit codes: 0 nothing of the run is left; 1 a defect in fdr; 2 no such run, or it is alive; 4 something is
left; 5 the lake is not usable; 130 interrupted.
"""


def clean(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run directory or id.")],
    lake: LakeOfRun = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; touch nothing.")] = False,
    wait: Annotated[str, typer.Option(help="Wait so long for Rucio's daemons.")] = "10m",
    as_json: Json = False,
) -> None:
    """Remove a run from its lake: its rules, datasets, replicas and files, and nothing else."""
    from fdr.clean import clean as clean_run

    raise typer.Exit(clean_run(find_run_dir(run), lake, dry_run, wait, as_json, out))
