"""The shape of a whole scenario, and what its parts must agree on. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from fdr.model import Rse
from fdr.names import DATASET_TEMPLATE, may_clash
from fdr.scenario import types as t
from fdr.scenario.check import Known, Shape, failure, problems_of, shown
from fdr.scenario.lines import Path
from fdr.scenario.shape import (
    DEFAULT_GRACE,
    SCHEMA_VERSION,
    DefaultsShape,
    ExperimentShape,
    LimitsShape,
    word_of,
)

PROTOCOLS = ("root", "davs")
MOST_EXPERIMENTS = 500
ONE_EXPERIMENT: TypeAdapter[dict[str, ExperimentShape]] = TypeAdapter(dict[t.ExperimentName, ExperimentShape])
Handler = ValidatorFunctionWrapHandler


class RseShape(Shape):
    """An RSE: what the embedded lake makes of it, and what forecasts and expressions know of it."""

    quota: t.SizeBytes | None = Field(None, description="Bytes that it holds")
    watermark: t.SizeBytes | None = Field(
        None, description="Free bytes below which Rucio deletes expired replicas (MinFreeSpace)"
    )
    qos: t.Qos | None = Field(None, description="Label of its quality of service, the attribute QOS")
    attributes: dict[t.AttributeKey, t.AttributeValue] = Field(
        default_factory=dict, description="RSE attributes that expressions may ask for"
    )
    protocols: Annotated[
        list[Annotated[Literal["root", "davs"], word_of("a protocol", PROTOCOLS)]], Field(min_length=1)
    ] = Field(["root", "davs"], description="What the embedded lake offers, the preferred first")

    @field_validator("watermark")
    @classmethod
    def _within_quota(cls, value: int | None, info: ValidationInfo[Known]) -> int | None:
        quota = info.data.get("quota")
        if value is not None and quota is not None and value > quota:
            raise ValueError("is above the quota: no space could ever be free enough (write less)")
        return value

    @field_validator("attributes")
    @classmethod
    def _one_qos(cls, value: dict[str, str], info: ValidationInfo[Known]) -> dict[str, str]:
        qos = info.data.get("qos")
        if qos is not None and value.get("QOS", qos) != qos:
            raise failure([(("QOS",), f"{value['QOS']!r} is not the qos {qos!r} (leave it out)")])
        return value

    @field_validator("protocols")
    @classmethod
    def _no_protocol_twice(cls, value: list[str]) -> list[str]:
        if len(set(value)) < len(value):
            raise ValueError(f"{shown(value)} names one twice (write each once)")
        return value

    def rse(self, name: str) -> Rse:
        """Return the RSE of this shape."""
        attributes = {**self.attributes, "QOS": self.qos} if self.qos else dict(self.attributes)
        qos = self.qos or attributes.get("QOS")
        return Rse(name, self.quota, self.watermark, qos, attributes, tuple(self.protocols))


class ScenarioShape(Shape):
    """A scenario of fdr: a full dress rehearsal of a scientific data lake."""

    # In this order: what is below is checked with what is above.
    schema_: Annotated[Literal["fdr/1"], word_of("a schema that this fdr reads", (SCHEMA_VERSION,))] = Field(
        alias="schema", description="The version of this format"
    )
    name: t.ScenarioName = Field(description="A short name")
    description: t.Description = Field("", description="What a reader should know")
    duration: t.Duration = Field(description="How long files are injected")
    seed: t.Seed = Field(1, description="The same seed gives the same plan")
    grace: t.Duration = Field(
        DEFAULT_GRACE,
        validate_default=True,
        description="How long rules are followed after the last injection",
    )
    defaults: DefaultsShape = Field({}, validate_default=True)
    rses: dict[t.RseName, RseShape] = Field(description="The RSEs, by name")
    experiments: dict[t.ExperimentName, ExperimentShape] = Field(description="The experiments, by name")
    objectives: list[t.ObjectiveText] = Field(
        default_factory=list, description="Limits on numbers of the run, which decide its verdict"
    )
    limits: LimitsShape = Field(LimitsShape())

    @field_validator("duration", "grace")
    @classmethod
    def _tell_times(cls, value: float, info: ValidationInfo[Known]) -> float:
        known: Known = info.context
        if info.field_name == "grace":
            known.grace_s = value
        elif known.duration_s is None:
            known.duration_s = value
        return value

    @field_validator("rses", mode="wrap")
    @classmethod
    def _each_rse(cls, value: Any, handler: Handler, info: ValidationInfo[Known]) -> dict[str, RseShape]:
        known: Known = info.context
        if isinstance(value, dict):
            known.rse_names = tuple(value)
        shapes: dict[str, RseShape] = handler(value)
        if not shapes:
            raise ValueError("has no RSE (write one below it, NAME: {quota: 40 TB, qos: SAFE})")
        known.rses = {name: shape.rse(name) for name, shape in shapes.items()}
        return shapes

    @field_validator("experiments", mode="wrap")
    @classmethod
    def _each_experiment(
        cls, value: Any, _: Handler, info: ValidationInfo[Known]
    ) -> dict[str, ExperimentShape]:
        known: Known = info.context
        if not isinstance(value, dict) or not 1 <= len(value) <= MOST_EXPERIMENTS:
            raise ValueError(
                f"is not a mapping of 1 to {MOST_EXPERIMENTS} experiments (write NAME: {{account: …}})"
            )
        known.experiments = tuple(value)
        shapes: dict[str, ExperimentShape] = {}
        problems: list[tuple[Path, str]] = []
        for name, raw in value.items():
            # One by one, for the names of its files depend on its own.
            known.experiment = name
            try:
                shapes |= ONE_EXPERIMENT.validate_python({name: raw}, context=known)
            except ValidationError as error:
                problems += problems_of(error)
        problems += _disagreements(shapes)
        if problems:
            raise failure(problems)
        return shapes


def _disagreements(experiments: dict[str, ExperimentShape]) -> list[tuple[Path, str]]:
    """Return where experiments that share a scope or an account contradict each other."""
    problems: list[tuple[Path, str]] = []
    owners: dict[str, str] = {}
    limits: dict[tuple[str, str], tuple[int, str]] = {}
    for name, shape in experiments.items():
        owner = owners.setdefault(shape.scope, name)
        if (account := experiments[owner].account) != shape.account:
            problems.append(
                (
                    (name, "scope"),
                    f"{shape.scope!r} is {account}'s in {owner}; a scope has one account (write another)",
                )
            )
        for rse, quota in shape.quota.items():
            other, other_name = limits.setdefault((shape.account, rse), (quota, name))
            if other != quota:
                problems.append(
                    (
                        (name, "quota", rse),
                        f"{quota} bytes, but {other} in {other_name}, which has the same account",
                    )
                )
    return problems + [
        ((name, "inject", "name"), f"could give the same names as {what} (write {{experiment}}/ in front)")
        for name, what in _clashes(experiments)
    ]


def _clashes(experiments: dict[str, ExperimentShape]) -> Iterator[tuple[str, str]]:
    """Yield each experiment whose files could be named as another DID of the same scope."""
    by_scope: dict[str, list[tuple[str, str, str]]] = {}
    for name, shape in experiments.items():
        template = (shape.inject.name, name)
        others = by_scope.setdefault(shape.scope, [])
        others.append((f"{name}'s datasets", DATASET_TEMPLATE, name))
        for what, other_template, other_name in others:
            if may_clash(template, (other_template, other_name)):
                yield name, what
                break
        others.append((f"{name}'s files", *template))
