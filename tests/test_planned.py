"""What is counted as planned is what the plan holds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fdr.model import Kind
from fdr.plan import plan
from fdr.planned import planned
from fdr.scenario.load import load_scenario

SCENARIOS = Path(__file__).parents[1] / "scenarios"


@pytest.mark.parametrize(("name", "scale"), [("smoke", 1.0), ("escape-fdr-2020", 0.001)])
def test_the_counts_are_those_of_the_plan(name: str, scale: float) -> None:
    """Files, bytes, datasets, rules and RSEs, per experiment, by walking through the plan."""
    scenario = load_scenario(SCENARIOS / f"{name}.yaml", scale=scale)
    actions = list(plan(scenario))
    counted = planned(scenario).experiments
    assert counted.keys() == scenario.experiments.keys()
    for experiment, counts in counted.items():
        ours = [action for action in actions if action.experiment == experiment]
        uploads = [action for action in ours if action.kind is Kind.UPLOAD]
        kinds = Counter(action.kind for action in ours)
        assert counts.files == len(uploads)
        assert counts.bytes == sum(action.size_bytes for action in uploads)
        assert (counts.datasets, counts.rules) == (kinds[Kind.DATASET], kinds[Kind.RULE])
        assert counts.files_at == Counter(action.rse for action in uploads)
