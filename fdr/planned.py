"""Count what a scenario plans, exactly. Pure."""

from __future__ import annotations

from itertools import islice

from fdr.dataset_plan import dataset_count, files_at
from fdr.metrics import Planned, PlannedExperiment
from fdr.model import Scenario
from fdr.plan import size_choices


def planned(scenario: Scenario) -> Planned:
    """Return the files, bytes, datasets and rules of every experiment's plan; a few µs a file."""
    return Planned(
        {
            name: PlannedExperiment(
                files=experiment.inject.files,
                bytes=sum(islice(size_choices(scenario, experiment), experiment.inject.files)),
                datasets=dataset_count(experiment),
                rules=dataset_count(experiment) * len(experiment.rules),
                files_at=files_at(scenario, experiment),
            )
            for name, experiment in scenario.experiments.items()
        }
    )
