"""The scenario that the tests' lake is prepared for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fdr.scenario.load import load_scenario

if TYPE_CHECKING:
    from fdr.model import Scenario

SMOKE = Path(__file__).parents[2] / "scenarios" / "smoke.yaml"


def smoke() -> Scenario:
    """Return scenarios/smoke.yaml."""
    return load_scenario(SMOKE)
