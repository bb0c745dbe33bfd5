"""A scenario with what the command line changes in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fdr.errors import ScenarioError
from fdr.model import Scenario
from fdr.scenario.load import load_scenario


@dataclass(frozen=True, slots=True)
class Changes:
    """What the command line changes in a scenario; ``duration`` and ``seed`` as they are written there."""

    scale: float = 1.0
    size_scale: float = 1.0
    speed: float = 1.0
    duration: str | None = None
    seed: int | None = None
    sets: tuple[str, ...] = ()

    @property
    def all_sets(self) -> tuple[str, ...]:
        """Every change that can be written into the scenario itself."""
        extra = []
        if self.duration is not None:
            extra.append(f"duration={self.duration}")
        if self.seed is not None:
            extra.append(f"seed={self.seed}")
        return (*self.sets, *extra)


def load_changed(path: Path, changes: Changes) -> Scenario:
    """Read a scenario and apply the command line's changes. Raises ScenarioError."""
    return load_scenario(
        path,
        scale=changes.scale,
        size_scale=changes.size_scale,
        speed=changes.speed,
        sets=changes.all_sets,
    )


def validate(paths: Sequence[Path], sets: tuple[str, ...], say: Callable[[str], None]) -> None:
    """Say of every good scenario what it is; raises ScenarioError with the problems of all bad ones."""
    problems: list[str] = []
    for path in paths:
        try:
            scenario = load_scenario(path, sets=sets)
        except ScenarioError as error:
            problems.extend(error.problems)
            continue
        files = sum(experiment.inject.files for experiment in scenario.experiments.values())
        aborts = f", ends early when {', '.join(scenario.limits.abort_when)}" * bool(
            scenario.limits.abort_when
        )
        say(
            f"{path}: good: {len(scenario.experiments)} experiments, {len(scenario.rses)} RSEs, {files} files"
            f"{aborts}"
        )
    if problems:
        raise ScenarioError(tuple(problems))
