"""The scenario of a pass of noise, as a scenario file would say it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fdr.errors import UsageError
from fdr.noise.pair import Part, untried
from fdr.noise.recipe import ACTIVITY, Recipe
from fdr.scenario.whole import MOST_EXPERIMENTS
from fdr.units import exact_duration, exact_size

NAME = "noise"
DESCRIPTION = "A file at every RSE, and a rule from it to every other."
MESH_DESCRIPTION = "A file at every RSE for every other, and a rule from it to that one."
METADATA = {"project": "fdr", "campaign": "noise"}  # columns that every Rucio has, whatever its database
REQUESTS_PER_SECOND = 50
MOST_RULES = 10_000  # of a hundred RSEs; a scenario file has room for about twice as many


def noise_scenario(parts: Sequence[Part], recipe: Recipe) -> dict[str, Any] | None:
    """Return the raw value of a scenario for what can be tried between these RSEs, None if nothing can.

    An experiment is a source RSE, or with ``mesh`` a pair of RSEs, and uploads one file; each of its rules
    goes to one other RSE once the file is there. Raises UsageError where that is more than a scenario takes.
    """
    targets = {
        src.rse: [dst.rse for dst in parts if dst is not src and untried(src, dst) is None] for src in parts
    }
    if recipe.mesh:
        uploads = {f"{src}--{dst}": (src, [dst]) for src, dsts in targets.items() for dst in dsts}
    else:
        uploads = {src: (src, dsts) for src, dsts in targets.items() if dsts}
    if not uploads:
        return None
    rules = sum(len(dsts) for _, dsts in uploads.values())
    for what, count, most in (
        ("upload {} files", len(uploads), MOST_EXPERIMENTS),
        ("add {} rules", rules, MOST_RULES),
    ):
        if count > most:
            mend = f"{'leave out --mesh, or ' if recipe.mesh else ''}name fewer RSEs"
            raise UsageError(
                f"{recipe.expression!r}: noise would {what.format(count)}, and {most} is most ({mend})"
            )
    rses = sorted({rse for src, dsts in uploads.values() for rse in (src, *dsts)})
    return {
        "schema": "fdr/1",
        "name": NAME,
        "description": MESH_DESCRIPTION if recipe.mesh else DESCRIPTION,
        "duration": "1s",
        "grace": exact_duration(recipe.wait_s),
        "defaults": {"activity": ACTIVITY, "lifetime": exact_duration(recipe.lifetime_s)},
        "rses": {rse: {} for rse in rses},
        "experiments": {name: _experiment(*upload, recipe) for name, upload in uploads.items()},
        "objectives": ["upload.success >= 100%", "rule.success >= 100%"],
        "limits": {"files": len(uploads), "requests_per_second": REQUESTS_PER_SECOND},
    }


def _experiment(src: str, dsts: Sequence[str], recipe: Recipe) -> dict[str, Any]:
    size = exact_size(recipe.size_bytes)
    to = f"-to-{dsts[0]}" if recipe.mesh else ""
    return {
        "account": recipe.account,
        "scope": recipe.scope,
        "metadata": dict(METADATA),
        "inject": {
            "files": 1,
            "size": size,
            "dataset": {"files": 1},
            "to": src,
            "name": f"{{run}}/{src}{to}/noise-{size.replace(' ', '')}-{{file}}",
        },
        "rules": [{"to": dst} for dst in dsts],
    }
