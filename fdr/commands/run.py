"""Rehearse a scenario on a lake."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fdr.commands.options import (
    Duration,
    Lake,
    Scale,
    ScenarioFile,
    Seed,
    Sets,
    SizeScale,
    Speed,
    changes,
    out,
)
from fdr.errors import UsageError


def run(
    scenario_file: ScenarioFile,
    lake: Lake = "local",
    run_dir: Annotated[Path | None, typer.Option(help="Keep the run here instead of runs/ID.")] = None,
    scale: Scale = 1.0,
    size_scale: SizeScale = 1.0,
    speed: Speed = 1.0,
    duration: Duration = None,
    seed: Seed = None,
    sets: Sets = None,
    prepare: Annotated[
        bool, typer.Option(help="Let accounts, scopes and limits be made on a lake that is not ours.")
    ] = False,
    resume_if_exists: Annotated[
        bool,
        typer.Option(
            "--resume-if-exists",
            help="Go on with the run in --run-dir if it was cut short; report it again if it has ended.",
        ),
    ] = False,
) -> None:
    """Rehearse a scenario on a lake: inject, replicate, follow, report, judge."""
    changed = changes(sets, scale, size_scale, speed, duration, seed)
    from fdr import rehearse  # what a run needs takes a second to import

    if not resume_if_exists:
        raise typer.Exit(rehearse.rehearse(scenario_file, changed, lake, run_dir, prepare, out))
    if run_dir is None:
        raise UsageError("--resume-if-exists: name the directory of the run too: --run-dir DIR")
    raise typer.Exit(rehearse.rehearse_or_resume(scenario_file, changed, lake, run_dir, prepare, out))
