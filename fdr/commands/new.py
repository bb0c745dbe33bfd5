"""Print a scenario to start from."""

from __future__ import annotations

from pathlib import Path


def new() -> None:
    """Print a commented scenario to start from."""
    print(Path(__file__).parents[1].joinpath("starter.yaml").read_text(), end="")
