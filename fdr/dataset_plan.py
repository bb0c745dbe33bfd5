"""The datasets of an experiment: how many, where each is uploaded to, the rule that keeps it there. Pure."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

from fdr.draw import draws, stream_key, stream_within
from fdr.expression import matching
from fdr.model import Rule, When

if TYPE_CHECKING:
    from collections.abc import Callable

    from fdr.model import Experiment, Scenario


def dataset_count(experiment: Experiment) -> int:
    """Return how many datasets an experiment's files fill; the last may be shorter."""
    return -(-experiment.inject.files // experiment.inject.files_per_dataset)


def upload_rses(scenario: Scenario) -> tuple[str, ...]:
    """Return the names of the RSEs that the scenario uploads to, sorted."""
    written: set[str] = set()
    for experiment in scenario.experiments.values():
        written |= matching(experiment.inject.to, scenario.rses)
    return tuple(sorted(written))


def rse_chooser(scenario: Scenario, experiment: Experiment) -> Callable[[int], str]:
    """Return the function from a dataset's number to the RSE that its files are uploaded to.

    Of as many datasets in a row as there are RSEs each goes to another one, in an order that is drawn anew.
    """
    names = sorted(matching(experiment.inject.to, scenario.rses))
    if len(names) == 1:
        return lambda _: names[0]
    key = stream_key(scenario.seed, experiment.name, "rse")

    @lru_cache(maxsize=1)
    def row(number: int) -> list[str]:
        return [name for _, name in sorted(zip(draws(stream_within(key, number)), names, strict=False))]

    return lambda dataset: row(dataset // len(names))[dataset % len(names)]


def files_at(scenario: Scenario, experiment: Experiment) -> Counter[str]:
    """Return how many files of an experiment are uploaded to each RSE."""
    inject, names = experiment.inject, matching(experiment.inject.to, scenario.rses)
    rows = inject.files // (len(names) * inject.files_per_dataset)
    files = Counter(dict.fromkeys(names, rows * inject.files_per_dataset))
    rse_of = rse_chooser(scenario, experiment)
    for dataset in range(rows * len(names), dataset_count(experiment)):
        files[rse_of(dataset)] += min(
            inject.files_per_dataset, inject.files - dataset * inject.files_per_dataset
        )
    return +files


def upload_rule(experiment: Experiment, rse: str) -> Rule:
    """Return the rule that a dataset is born with, which keeps its uploads at an RSE until it expires.

    The RSE stands in brackets where the scenario has a rule with the same expression and copies: Rucio would
    take that for a repetition of this one.
    """
    to = rse
    while any(rule.to == to and rule.copies == 1 for rule in experiment.rules):
        to = f"({to})"
    return Rule(to, 1, experiment.dataset_lifetime_s, experiment.activity, When.AT_CREATION)
