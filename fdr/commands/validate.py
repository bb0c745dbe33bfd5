"""Say whether scenarios are well written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fdr import changes
from fdr.commands.options import Sets, out


def validate(
    scenario_files: Annotated[list[Path], typer.Argument(metavar="SCENARIO...", help="Scenario files.")],
    sets: Sets = None,
) -> None:
    """Say whether scenarios are well written; every problem with file, line and what to write."""
    changes.validate(scenario_files, tuple(sets or ()), out.print)
