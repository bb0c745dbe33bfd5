"""The types of a scenario's values: how each is read, and what an editor is told of it. Pure."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from fdr import rucio_schema as rucio
from fdr.scenario import quantities as read
from fdr.units import DURATIONS, RATES, SIZES

NUMBER = r"[0-9][0-9_]*(\.[0-9]+)?"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
EXPERIMENT_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
RSE_SCHEMA_PATTERN = r"^[A-Z0-9]+([_-][A-Z0-9]+)*$"
LONGEST_NAME = 50
LONGEST_EXPERIMENT = 120  # it stands in names of files and datasets, of which Rucio takes 250 characters

COUNT_SCHEMA = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^[0-9][0-9_]*$"}]}
SIZE_TEXT_PATTERN = rf"^{NUMBER} ?({'|'.join(SIZES)})?$"
SIZE_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "integer", "minimum": 1},
        {"type": "string", "pattern": SIZE_TEXT_PATTERN, "examples": ["8 MB", "2 GiB"]},
    ]
}
QOS_SCHEMA = {"type": "string", "pattern": rucio.ATTRIBUTE_VALUE_PATTERN, "examples": ["FAST"]}
EXPRESSION_SCHEMA = {"type": "string", "minLength": 1, "examples": ["DESY-DCACHE", "country=ES", "QOS=FAST"]}
QOS_TARGET_SCHEMA = {
    "type": "object",
    "properties": {"qos": QOS_SCHEMA},
    "required": ["qos"],
    "additionalProperties": False,
}


def _text(pattern: str, longest: int | None = None, examples: tuple[str, ...] = ()) -> WithJsonSchema:
    schema: dict[str, Any] = {"type": "string", "pattern": pattern}
    if longest is not None:
        schema["maxLength"] = longest
    return WithJsonSchema({**schema, "examples": list(examples)} if examples else schema)


def _word(what: str, pattern: str, longest: int, example: str) -> BeforeValidator:
    return BeforeValidator(read.read_word(what, pattern, longest, example))


Count = Annotated[int, BeforeValidator(read.read_count), WithJsonSchema(COUNT_SCHEMA)]
Seed = Annotated[
    int,
    BeforeValidator(read.read_seed),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 2**63 - 1}),
]
Positive = Annotated[
    float, BeforeValidator(read.read_positive), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})
]
Sigma = Annotated[
    float,
    BeforeValidator(read.read_sigma),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": 5}),
]
SizeBytes = Annotated[int, BeforeValidator(read.read_size), WithJsonSchema(SIZE_SCHEMA)]
SizeKey = Annotated[int, BeforeValidator(read.read_size), _text(SIZE_TEXT_PATTERN)]
DURATION_JSON = _text(rf"^({NUMBER} ?({'|'.join(DURATIONS)}) ?)+$", examples=("24h", "1h30m", "90s"))
Duration = Annotated[float, BeforeValidator(read.read_duration), DURATION_JSON]
Lifetime = Annotated[int, BeforeValidator(read.read_lifetime), DURATION_JSON]
Rate = Annotated[
    float,
    BeforeValidator(read.read_rate),
    _text(rf"^{NUMBER} ?/ ?({'|'.join(RATES)})$", examples=("6/s", "500/h")),
]
Target = Annotated[
    str,
    BeforeValidator(read.read_target),
    WithJsonSchema({"anyOf": [EXPRESSION_SCHEMA, QOS_TARGET_SCHEMA]}),
]
Qos = Annotated[
    str, _word("a QoS label", rucio.ATTRIBUTE_VALUE_PATTERN, 100, "FAST"), WithJsonSchema(QOS_SCHEMA)
]
ScenarioName = Annotated[
    str, _word("a name", NAME_PATTERN, LONGEST_NAME, "one-day"), _text(NAME_PATTERN, LONGEST_NAME)
]
Account = Annotated[
    str,
    _word("an account", rucio.ACCOUNT_PATTERN, rucio.ACCOUNT_LENGTH, "cta"),
    _text(r"^[a-z0-9_-]+$", rucio.ACCOUNT_LENGTH),
]
Scope = Annotated[
    str,
    _word("a scope", rucio.SCOPE_PATTERN, rucio.SCOPE_LENGTH, "cta_fdr"),
    _text(r"^[a-zA-Z0-9_.-]+$", rucio.SCOPE_LENGTH),
]
Activity = Annotated[
    str,
    BeforeValidator(read.read_activity),
    WithJsonSchema({"type": "string", "enum": list(rucio.ACTIVITIES)}),
]
AttributeKey = Annotated[
    str,
    BeforeValidator(read.read_attribute_key),
    _text(rucio.ATTRIBUTE_KEY_PATTERN, rucio.ATTRIBUTE_LENGTH),
]
AttributeValue = Annotated[
    str,
    BeforeValidator(read.read_attribute),
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]
MetadataKey = Annotated[
    str, BeforeValidator(read.read_metadata_key), _text(rucio.METADATA_KEY_PATTERN, rucio.METADATA_LENGTH)
]
MetadataValue = Annotated[
    str,
    BeforeValidator(read.read_metadata),
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]
Template = Annotated[
    str,
    BeforeValidator(read.read_template),
    WithJsonSchema({"type": "string", "pattern": r"\{file", "examples": ["{experiment}/{date}/{file:06d}"]}),
]
ObjectiveText = Annotated[
    str,
    BeforeValidator(read.read_objective),
    WithJsonSchema({"type": "string", "examples": ["upload.success >= 99.5%", "upload.lateness.p99 <= 2s"]}),
]
AbortText = Annotated[
    str,
    BeforeValidator(read.read_abort_when),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": " over ",
            "examples": ["upload.success < 80% over 5m", "upload.lateness.p99 > 1m over 10m"],
        }
    ),
]
RseName = Annotated[
    str,
    _word("an RSE's name", rucio.RSE_PATTERN, rucio.RSE_LENGTH, "DESY-DCACHE"),
    _text(RSE_SCHEMA_PATTERN, rucio.RSE_LENGTH),
]
ExperimentName = Annotated[
    str,
    _word("an experiment's name", EXPERIMENT_PATTERN, LONGEST_EXPERIMENT, "CTA"),
    _text(EXPERIMENT_PATTERN, LONGEST_EXPERIMENT),
]
RseKey = Annotated[str, BeforeValidator(read.read_rse_key), _text(RSE_SCHEMA_PATTERN, rucio.RSE_LENGTH)]
Description = Annotated[str, Field(max_length=10_000)]
