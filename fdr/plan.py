"""What a scenario will do and when: its actions in due order, lazily, by shard. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict
from hashlib import sha256
from heapq import merge
from itertools import count, islice, repeat
from typing import TYPE_CHECKING

from fdr.action_id import EXPERIMENT_SHIFT, KIND_SHIFT, KINDS
from fdr.arrivals import due_times
from fdr.dataset_plan import dataset_count, rse_chooser
from fdr.draw import draws, stream_key
from fdr.model import Action, FixedSize, When
from fdr.sizes import sampler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fdr.model import Experiment, Scenario

DATASET, RULE, UPLOAD, CLOSE = range(4)

WHOLE = (1, 1)
LINES_AT_ONCE = 2000

# due_s, id, kind's number, dataset, file, rule, rse, size_bytes: an action before it gets its class,
# which is where most of the time of making a large plan would go.
Step = tuple[float, int, int, int, int | None, int | None, str | None, int]


def plan(scenario: Scenario, shard: tuple[int, int] = WHOLE) -> Iterator[Action]:
    """Return the actions of a scenario in due order, made as they are taken.

    ``shard`` (k, n) picks part k of n, k from 1; whole datasets go to a shard, with all that is done to
    them. What is kept in memory grows with the experiments, not with the files. Raises ValueError when there
    is no such shard.
    """
    names = tuple(scenario.experiments)
    return (
        Action(step[1], KINDS[step[2]], step[0], names[step[1] >> EXPERIMENT_SHIFT], *step[3:])
        for step in _steps(scenario, shard)
    )


def digest(scenario: Scenario) -> str:
    """Return the sha256, in hexadecimal, of all that a scenario will do: every action and what it entails.

    It does not depend on the run's id, its date or the lake: the same scenario and seed, the same digest.
    """
    whole = sha256()
    for experiment in scenario.experiments.values():
        whole.update(json.dumps(_entailed(experiment), sort_keys=True).encode() + b"\n")
    steps = _steps(scenario, WHOLE)
    while lines := [
        f"{action} {due_s} {rse} {size_bytes}\n"
        for due_s, action, _, _, _, _, rse, size_bytes in islice(steps, LINES_AT_ONCE)
    ]:
        whole.update("".join(lines).encode())
    return whole.hexdigest()


def _entailed(experiment: Experiment) -> dict[str, object]:
    """Return what an experiment's actions entail and their numbers do not say."""
    # left out where the scenario says nothing of it, or digests of before would change
    said = {"metadata": dict(experiment.metadata)} if experiment.metadata else {}
    return said | {
        "experiment": experiment.name,
        "account": experiment.account,
        "scope": experiment.scope,
        "name": experiment.inject.name,
        "files_per_dataset": experiment.inject.files_per_dataset,
        "lifetime_s": experiment.dataset_lifetime_s,
        "activity": experiment.activity,
        "rules": [asdict(rule) for rule in experiment.rules],
    }


def _steps(scenario: Scenario, shard: tuple[int, int]) -> Iterator[Step]:
    part, parts = shard
    if not 1 <= part <= parts:
        raise ValueError(f"there is no shard {part} of {parts} (write 1 to {parts})")
    return merge(
        *(
            _experiment_steps(scenario, index, experiment, shard)
            for index, experiment in enumerate(scenario.experiments.values())
        )
    )


def _experiment_steps(
    scenario: Scenario, index: int, experiment: Experiment, shard: tuple[int, int]
) -> Iterator[Step]:
    """Yield one experiment's steps, dataset after dataset, which is their due order.

    Each decision has a stream of its own, so that another choice of size shifts no due time.
    """
    inject, speed = experiment.inject, scenario.speed
    per_dataset, part, parts = inject.files_per_dataset, shard[0] - 1, shard[1]
    arrival_key = stream_key(scenario.seed, experiment.name, "arrival")
    due_in = due_times(inject.arrivals, inject.files, per_dataset, scenario.duration_s, arrival_key)
    early = [n for n, rule in enumerate(experiment.rules) if rule.when is When.AT_CREATION]
    late = [n for n, rule in enumerate(experiment.rules) if rule.when is When.DATASET_CLOSED]
    rse_of = rse_chooser(scenario, experiment)
    base = index << EXPERIMENT_SHIFT
    dataset_base, rule_base, upload_base, close_base = (base | kind << KIND_SHIFT for kind in range(4))
    # Offset by the experiment, or all that have a single dataset would land in the first shard.
    for dataset in range((part - index) % parts, dataset_count(experiment), parts):
        first = dataset * per_dataset
        rse, sizes = rse_of(dataset), size_choices(scenario, experiment, first)
        first_rule = rule_base + dataset * len(experiment.rules)
        due = 0.0
        for file, time, size_bytes in zip(count(first), due_in(dataset), sizes, strict=False):
            # Microseconds are finer than any clock here, and the same on every machine.
            due = round(time / speed, 6)
            if file == first:
                yield due, dataset_base + dataset, DATASET, dataset, None, None, rse, 0
                for rule in early:
                    yield due, first_rule + rule, RULE, dataset, None, rule, None, 0
            yield due, upload_base + file, UPLOAD, dataset, file, None, rse, size_bytes
        yield due, close_base + dataset, CLOSE, dataset, None, None, None, 0
        for rule in late:
            yield due, first_rule + rule, RULE, dataset, None, rule, None, 0


def size_choices(scenario: Scenario, experiment: Experiment, first: int = 0) -> Iterator[int]:
    """Return the bytes of every file of an experiment from the one numbered ``first`` on, without end."""
    size = experiment.inject.size
    if isinstance(size, FixedSize):
        return repeat(size.bytes)
    return map(sampler(size), draws(stream_key(scenario.seed, experiment.name, "size"), first))
