"""The shape of a scenario file: which keys it has, and what each holds. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Tag,
    ValidationInfo,
    field_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from fdr.expression import matching
from fdr.model import Arrivals, When
from fdr.names import DEFAULT_TEMPLATE
from fdr.scenario import types as t
from fdr.scenario.check import LIST, MAPPING, NOT_YET, Known, Shape, failure, shown
from fdr.scenario.quantities import read_size

SCHEMA_VERSION = "fdr/1"
DEFAULT_LIFETIME = "2d"
DEFAULT_ACTIVITY = "Functional Test"
DEFAULT_GRACE = "10m"
DEFAULT_FILES_PER_DATASET = 1000


def word_of(what: str, words: tuple[str, ...], later: tuple[str, ...] = ()) -> BeforeValidator:
    """Return the reader of one of a few words; ``later`` are those to come."""

    def read(value: Any) -> Any:
        asked = next(iter(value)) if isinstance(value, dict) and len(value) == 1 else value
        if asked in later:
            raise ValueError(f"{asked}: {NOT_YET} (write {' or '.join(words)})")
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"{shown(value)} is not {what} (write {' or '.join(words)})")
        return value

    return BeforeValidator(read)


class UniformShape(Shape):
    """Bytes drawn evenly between two sizes."""

    min: t.SizeBytes = Field(description="The smallest size")
    max: t.SizeBytes = Field(description="The largest size")

    @field_validator("max")
    @classmethod
    def _above_min(cls, value: int, info: ValidationInfo[Known]) -> int:
        return _not_below(value, info.data.get("min"), "min")


class LognormalShape(Shape):
    """Bytes whose logarithm is normal: many near the median, a few very large."""

    median: t.SizeBytes = Field(description="Half of the files are smaller")
    sigma: t.Sigma = Field(description="Spread of the natural logarithm; 0.9 is usual")
    min: t.SizeBytes = Field(1, description="Smaller draws are raised to this size")
    max: t.SizeBytes | None = Field(None, description="Larger draws are cut to this size")

    @field_validator("max")
    @classmethod
    def _above_min(cls, value: int | None, info: ValidationInfo[Known]) -> int | None:
        return value if value is None else _not_below(value, info.data.get("min"), "min")


class BucketShape(Shape):
    """One of several sizes."""

    size: t.SizeBytes = Field(description="Bytes of a file in this bucket")
    weight: t.Positive = Field(description="How often, against the other buckets")


def _way_of_writing(value: Any) -> str:
    return MAPPING if isinstance(value, dict) else LIST


Buckets = Annotated[
    Annotated[list[BucketShape], Field(min_length=1), Tag(LIST)]
    | Annotated[dict[t.SizeKey, t.Positive], Field(min_length=1), Tag(MAPPING)],
    Discriminator(_way_of_writing),
]


class SizeShape(Shape):
    """How large files are: a size, or one distribution of sizes."""

    one_of = ("fixed", "uniform", "lognormal", "buckets")

    fixed: t.SizeBytes | None = Field(None, description="Every file has this size")
    uniform: UniformShape | None = None
    lognormal: LognormalShape | None = None
    buckets: Buckets | None = Field(None, description="Some sizes with weights")

    @field_validator("buckets", mode="before")
    @classmethod
    def _no_size_twice(cls, value: Any) -> Any:
        if isinstance(value, dict):
            written: dict[int, str] = {}
            for text in value:
                try:
                    same = written.setdefault(read_size(text), text)
                except ValueError:
                    continue  # said of the key itself
                if same != text:
                    raise ValueError(f"{text!r} is {same!r} again (write each size once)")
        return value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Tell editors that a plain size may stand here too."""
        part = super().__get_pydantic_json_schema__(core_schema, handler)
        return {"anyOf": [t.SIZE_SCHEMA, part]}


def _plain_size(value: Any) -> Any:
    """Take a size where a distribution may stand; what is neither is refused as a size."""
    return value if isinstance(value, dict) else {"fixed": read_size(value)}


class DatasetShape(Shape):
    """How files are put together."""

    files: t.Count = Field(
        default=DEFAULT_FILES_PER_DATASET, description="Files in a dataset; the last may have fewer"
    )


class InjectShape(Shape):
    """What an experiment injects."""

    one_of = ("files", "rate", "volume")

    files: t.Count | None = Field(None, description="So many files")
    rate: t.Rate | None = Field(None, description="So many files a second, over the duration")
    volume: t.SizeBytes | None = Field(None, description="So many bytes, in files of the mean size")
    size: Annotated[SizeShape, BeforeValidator(_plain_size)] = Field(
        description="A size, or a distribution of sizes"
    )
    dataset: DatasetShape = Field(DatasetShape())
    to: t.Target = Field(description="Where files are uploaded: an RSE, an RSE expression or {qos: LABEL}")
    arrivals: Annotated[
        Literal["constant", "poisson"],
        word_of("a kind of arrivals", tuple(Arrivals), ("night", "stages", "burst")),
    ] = Field("constant", description="How due times spread over the duration")
    name: t.Template = Field(DEFAULT_TEMPLATE, description="Template of the files' names")


class RuleShape(Shape):
    """A replication rule that every dataset of the experiment gets."""

    to: t.Target = Field(description="Where copies are wanted: an RSE, an RSE expression or {qos: LABEL}")
    copies: t.Count = Field(1, description="How many copies")
    lifetime: t.Lifetime | None = Field(None, description="How long the rule lives")
    activity: t.Activity | None = Field(None, description="Rucio's activity of the rule's transfers")
    when: Annotated[Literal["at-creation", "dataset-closed"], word_of("a moment", tuple(When))] = Field(
        "dataset-closed", description="Add the rule to the empty dataset, or to the closed one"
    )

    @field_validator("copies")
    @classmethod
    def _enough_rses(cls, value: int, info: ValidationInfo[Known]) -> int:
        known: Known = info.context
        to = info.data.get("to")
        if to is not None and known.rses is not None and value > (count := len(matching(to, known.rses))):
            raise ValueError(
                f"{value} copies, and {to!r} matches {count} RSE{'s'[: count > 1]} (write {count})"
            )
        return value


class ExperimentShape(Shape):
    """Who acts: a Rucio account with a scope, what it injects, and its rules."""

    later = ("transitions", "reads")

    account: t.Account = Field(description="The Rucio account that acts")
    scope: t.Scope = Field(description="The scope of its DIDs, which the account owns")
    inject: InjectShape = Field(description="What it injects")
    quota: dict[t.RseKey, t.SizeBytes] = Field(
        default_factory=dict, description="The account's limit at an RSE; one not named is unlimited"
    )
    rules: list[RuleShape] = Field(default_factory=list, description="Rules that every dataset gets")
    lifetime: t.Lifetime | None = Field(None, description="How long its datasets live")
    metadata: dict[t.MetadataKey, t.MetadataValue] = Field(
        default_factory=dict, description="Metadata that its datasets and files get in Rucio"
    )

    @field_validator("inject", mode="before")
    @classmethod
    def _one_injection(cls, value: Any) -> Any:
        if isinstance(value, list):
            raise ValueError(f"a list of injections: {NOT_YET} (write one, or another experiment)")
        return value

    @field_validator("rules")
    @classmethod
    def _no_rule_twice(cls, value: list[RuleShape]) -> list[RuleShape]:
        for number, rule in enumerate(value):
            if any((rule.to, rule.copies) == (other.to, other.copies) for other in value[:number]):
                raise failure(
                    [
                        (
                            (number,),
                            f"the same target and copies as a rule above: Rucio refuses {rule.to!r} twice",
                        )
                    ]
                )
        return value


class DefaultsShape(Shape):
    """What rules and datasets have that say nothing else."""

    activity: t.Activity = Field(DEFAULT_ACTIVITY, description="Rucio's activity")
    lifetime: t.Lifetime = Field(
        DEFAULT_LIFETIME, validate_default=True, description="How long rules and datasets live"
    )


class LimitsShape(Shape):
    """The impact budget: a run that reaches one of these stops and says so."""

    files: t.Count | None = Field(default=None, description="Files at most")
    volume: t.SizeBytes | None = Field(default=None, description="Bytes at most")
    requests_per_second: t.Positive | None = Field(default=None, description="REST calls a second at most")
    abort_when: list[t.AbortText] = Field(
        default_factory=list, description="Limits on numbers of the last minutes; one that holds ends the run"
    )


def _not_below(value: int, other: int | None, name: str) -> int:
    if other is not None and value < other:
        raise ValueError(f"{value} bytes, less than {name}, which is {other} (swap them)")
    return value
