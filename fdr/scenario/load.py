"""A scenario file in, a Scenario out: the only place where input is validated."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from fdr.errors import ScenarioError, UsageError
from fdr.model import (
    Arrivals,
    BucketSize,
    Experiment,
    FixedSize,
    Inject,
    Limits,
    LognormalSize,
    Rule,
    Scenario,
    Size,
    UniformSize,
    When,
)
from fdr.scenario.check import Known, problems_of
from fdr.scenario.lines import Document, Problem, read_document, write_document
from fdr.scenario.quantities import MOST_FILES, MOST_SECONDS, MOST_SEED
from fdr.scenario.sets import apply_sets
from fdr.scenario.whole import ScenarioShape
from fdr.sizes import mean_bytes, scaled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fdr.scenario.shape import ExperimentShape, InjectShape, SizeShape

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def load_scenario(
    path: str | Path,
    *,
    scale: float = 1.0,
    size_scale: float = 1.0,
    speed: float = 1.0,
    duration_s: float | None = None,
    seed: int | None = None,
    sets: Sequence[str] = (),
) -> Scenario:
    """Read a scenario file, with the command line's changes, and return it valid.

    ``scale`` multiplies the files, ``size_scale`` their sizes; at ``speed`` 24 a day takes an hour;
    ``duration_s`` and ``seed`` replace the file's; ``sets`` are ``dotted.path=VALUE``, VALUE read as YAML,
    put into the file before it is checked (null takes a key back). Raises ScenarioError with every problem
    there is, and UsageError where a number of the command line cannot be used.
    """
    _check_changes(scale, size_scale, speed, duration_s, seed)
    document = _read(path, sets)
    known = Known(speed=speed, duration_s=duration_s)
    try:
        shape = ScenarioShape.model_validate(document.value, context=known)
    except ValidationError as error:
        document.problems += (Problem(*problem) for problem in problems_of(error))
        raise _refusal(document) from error
    run_s = shape.duration if duration_s is None else duration_s
    experiments = {
        name: _experiment(name, part, shape, run_s, scale, size_scale)
        for name, part in shape.experiments.items()
    }
    document.problems += (
        Problem(("experiments", name, "inject"), _too_many(experiment.inject.files, scale))
        for name, experiment in experiments.items()
        if experiment.inject.files > MOST_FILES
    )
    if document.problems:
        raise _refusal(document)
    return Scenario(
        name=shape.name,
        description=shape.description,
        duration_s=run_s,
        seed=shape.seed if seed is None else seed,
        scale=scale,
        size_scale=size_scale,
        speed=speed,
        grace_s=shape.grace,
        rses={name: part.rse(name) for name, part in shape.rses.items()},
        experiments=experiments,
        objectives=tuple(shape.objectives),
        limits=Limits(
            files=shape.limits.files,
            volume_bytes=shape.limits.volume,
            requests_per_second=shape.limits.requests_per_second,
            abort_when=tuple(shape.limits.abort_when),
        ),
    )


def effective_yaml(path: str | Path, sets: Sequence[str] = ()) -> str:
    """Return the text of a scenario with ``sets`` applied: ``load_scenario`` reads it as the same scenario.

    Without sets it is the file itself, comments and all. Raises ScenarioError where the file cannot be read
    or a set not applied.
    """
    text = _text(path)
    if not sets:
        return text
    document = _read(path, sets)
    if document.problems:
        raise _refusal(document)
    head = "".join(f"# --set {one_line}\n" for one_line in (" ".join(part.split()) for part in sets))
    return f"# {Path(path).name}, with\n{head}{write_document(document.value)}"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a scenario file, which editors complete and check from."""
    return {"$schema": SCHEMA_DIALECT, **_strict(ScenarioShape.model_json_schema()), "title": "fdr scenario"}


def _strict(part: Any) -> Any:
    """Take null out of a JSON Schema: a key without a value is refused."""
    if isinstance(part, list):
        return [_strict(item) for item in part]
    if not isinstance(part, dict):
        return part
    kept = {key: _strict(value) for key, value in part.items() if (key, value) != ("default", None)}
    if "patternProperties" in kept:
        kept["additionalProperties"] = False
    choices = kept.get("anyOf")
    if choices and {"type": "null"} in choices:
        choices.remove({"type": "null"})
    return kept


def _check_changes(
    scale: float, size_scale: float, speed: float, duration_s: float | None, seed: int | None
) -> None:
    problems = [
        f"{option}: {value} is out of range (write a number above zero, such as {example})"
        for option, value, example in (
            ("--scale", scale, 0.001),
            ("--size-scale", size_scale, 0.001),
            ("--speed", speed, 24),
        )
        if not (math.isfinite(value) and 1e-9 <= value <= 1e9)
    ]
    if duration_s is not None and not 0.001 <= duration_s <= MOST_SECONDS:
        problems.append(f"--duration: {duration_s}s is out of range (write for example 24h or 10m)")
    if seed is not None and not 0 <= seed <= MOST_SEED:
        problems.append(f"--seed: {seed} is out of range (write a whole number from 0)")
    if problems:
        raise UsageError("\n".join(problems))


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScenarioError((f"{path}: is not UTF-8 text: byte {error.start} (save it as UTF-8)",)) from error
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise ScenarioError((f"{path}: cannot be read: {what}",)) from error


def _read(path: str | Path, sets: Sequence[str]) -> Document:
    document = read_document(_text(path), str(path))
    if document.problems and document.value is None:
        raise _refusal(document)
    if not isinstance(document.value, dict):
        found = "is empty" if document.value is None else "is not a mapping"
        document.problems.append(Problem((), f"{found} (`fdr new` prints a scenario to start from)"))
        raise _refusal(document)
    apply_sets(document, sets)
    return document


def _refusal(document: Document) -> ScenarioError:
    return ScenarioError(document.sentences())


def _too_many(files: int, scale: float) -> str:
    return f"comes to {files:_} files at scale {scale:g} (write {MOST_FILES:_} at most)"


def _experiment(
    name: str, part: ExperimentShape, shape: ScenarioShape, run_s: float, scale: float, size_scale: float
) -> Experiment:
    defaults = shape.defaults
    size = _size(part.inject.size)
    lifetime_s = part.lifetime or defaults.lifetime
    return Experiment(
        name=name,
        account=part.account,
        scope=part.scope,
        inject=Inject(
            files=max(1, round(_files(part.inject, size, run_s) * scale)),
            size=scaled(size, size_scale),
            files_per_dataset=part.inject.dataset.files,
            to=part.inject.to,
            arrivals=Arrivals(part.inject.arrivals),
            name=part.inject.name,
        ),
        activity=defaults.activity,
        rules=tuple(
            Rule(
                to=rule.to,
                copies=rule.copies,
                lifetime_s=rule.lifetime or defaults.lifetime,
                activity=rule.activity or defaults.activity,
                when=When(rule.when),
            )
            for rule in part.rules
        ),
        quota=part.quota,
        dataset_lifetime_s=lifetime_s,
        metadata=part.metadata,
    )


def _files(inject: InjectShape, size: Size, run_s: float) -> float:
    """Return how many files an experiment injects at scale 1; a volume counts in files of the mean size."""
    if inject.files is not None:
        return inject.files
    if inject.rate is not None:
        return inject.rate * run_s
    return (inject.volume or 0) / mean_bytes(size)


def _size(shape: SizeShape) -> Size:
    if shape.uniform is not None:
        return UniformSize(shape.uniform.min, shape.uniform.max)
    if shape.lognormal is not None:
        part = shape.lognormal
        return LognormalSize(part.median, part.sigma, part.min, part.max)
    if isinstance(shape.buckets, dict):
        return BucketSize(tuple(shape.buckets), tuple(shape.buckets.values()))
    if shape.buckets is not None:
        buckets = shape.buckets
        return BucketSize(tuple(b.size for b in buckets), tuple(b.weight for b in buckets))
    return FixedSize(shape.fixed or 1)
