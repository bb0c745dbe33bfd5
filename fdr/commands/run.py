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
) -> None:
    """Rehearse a scenario on a lake: inject, replicate, follow, report, judge."""
    changed = changes(sets, scale, size_scale, speed, duration, seed)
    from fdr.rehearse import rehearse  # what a run needs takes a second to import

    raise typer.Exit(rehearse(scenario_file, changed, lake, run_dir, prepare, out))
