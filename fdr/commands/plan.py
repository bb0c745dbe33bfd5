"""Show what a scenario would do."""

from __future__ import annotations

import json

from fdr.changes import load_changed
from fdr.commands.options import (
    Duration,
    Json,
    Scale,
    ScenarioFile,
    Seed,
    Sets,
    SizeScale,
    Speed,
    changes,
    out,
)
from fdr.plan_view import plan_as_json, show_plan


def plan(
    scenario_file: ScenarioFile,
    scale: Scale = 1.0,
    size_scale: SizeScale = 1.0,
    speed: Speed = 1.0,
    duration: Duration = None,
    seed: Seed = None,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Show what a scenario would do and whether it fits: per experiment and RSE, digest, first actions."""
    changed = changes(sets, scale, size_scale, speed, duration, seed)
    planned = load_changed(scenario_file, changed)
    if as_json:
        print(json.dumps(plan_as_json(planned), indent=2))
    else:
        show_plan(planned, out)
