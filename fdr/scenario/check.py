"""How a part of a scenario is checked so that all of its problems are found at once. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, ErrorDetails, InitErrorDetails, PydanticCustomError

from fdr.model import Rse
from fdr.scenario.lines import THE_KEY, Path

# How pydantic is to mark two ways of writing one thing.
LIST, MAPPING = "<list>", "<mapping>"
PYDANTICS_OWN = ("[key]", LIST, MAPPING)
NOT_YET = "not supported by this version of fdr"
# What pydantic says of a wrong type, said for people.
WRONG_TYPES = {
    "missing": "is missing",
    "string_type": "is not text (write it in quotes)",
    "int_type": "is not a whole number",
    "float_type": "is not a number",
    "dict_type": "is not a mapping (write KEY: VALUE below it)",
    "list_type": "is not a list (write [ONE, ANOTHER])",
}


@dataclass(slots=True)
class Known:
    """What the checks of a part must know of the rest of its scenario, filled in from top to bottom.

    ``rses`` is None where some RSE is itself wrong, so that one mistake is not told twice; the names are
    there all the same. ``duration_s`` begins as the command line's, if it says one.
    """

    speed: float = 1.0
    duration_s: float | None = None
    grace_s: float | None = None
    rse_names: Collection[str] = ()
    rses: Mapping[str, Rse] | None = None
    experiments: Collection[str] = ()
    experiment: str = ""

    @property
    def run_s(self) -> float | None:
        """Return how many wall-clock seconds a run may take with its grace, None where that is not known."""
        if self.duration_s is None or self.grace_s is None:
            return None
        return self.duration_s / self.speed + self.grace_s


class Shape(BaseModel):
    """A mapping of the scenario: unknown keys, keys without a value and contradictions are all told."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    later: ClassVar[tuple[str, ...]] = ()  # keys of the format that this version does not know yet
    one_of: ClassVar[tuple[str, ...]] = ()  # keys of which exactly one must be there

    @classmethod
    def known_keys(cls) -> tuple[str, ...]:
        """Return the keys that this mapping may have, as they are written."""
        return tuple(part.alias or name for name, part in cls.model_fields.items())

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(value, dict):
            raise ValueError(f"{shown(value)} is not a mapping (write {cls._keys_to_write()})")
        problems = [*cls._key_problems(value), *cls._choice_problems(value)]
        told = {path[:1] for path, _ in problems if path}
        kept = {key: part for key, part in value.items() if (key,) not in told}
        try:
            shape = handler(kept)
        except ValidationError as error:
            # A key that was left out because it is wrong is not missing too.
            problems += [
                (path, cls._missing(path[0]) if text == WRONG_TYPES["missing"] and len(path) == 1 else text)
                for path, text in problems_of(error)
                if path[:1] not in told
            ]
        if problems:
            raise failure(problems)
        return shape

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Tell editors too that exactly one of some keys is wanted."""
        part = handler.resolve_ref_schema(handler(core_schema))
        if cls.one_of:
            part["oneOf"] = [{"required": [key]} for key in cls.one_of]
        return part

    @classmethod
    def _key_problems(cls, value: dict[str, Any]) -> list[tuple[Path, str]]:
        problems: list[tuple[Path, str]] = []
        for key, part in value.items():
            if key in cls.later:
                problems.append(((key,), NOT_YET))
            elif key not in cls.known_keys():
                hint = did_you_mean(key, cls.known_keys())
                problems.append(((key, THE_KEY), f"unknown key {shown(key)}{hint}"))
            elif part is None:
                problems.append(((key,), "has no value (write one, or leave the key out)"))
        return problems

    @classmethod
    def _choice_problems(cls, value: dict[str, Any]) -> list[tuple[Path, str]]:
        if not cls.one_of:
            return []
        given = [key for key in cls.one_of if key in value]
        if len(given) == 1:
            return []
        found = f"{' and '.join(given)} are both there" if given else "says none of them"
        return [((), f"{found} (write exactly one of {', '.join(cls.one_of)})")]

    @classmethod
    def _missing(cls, key: str | int) -> str:
        """Say that a key is missing, and what it is for."""
        fields = {part.alias or name: part for name, part in cls.model_fields.items()}
        description = fields[str(key)].description
        return f"is missing (write {key}: …{f'; {description}' if description else ''})"

    @classmethod
    def _keys_to_write(cls) -> str:
        required = [part.alias or name for name, part in cls.model_fields.items() if part.is_required()]
        keys = cls.one_of[:1] or required or cls.known_keys()[:1]
        return "{" + ", ".join(f"{key}: …" for key in keys) + "}"


def failure(problems: list[tuple[Path, str]]) -> ValidationError:
    """Return problems as pydantic's error, so that the parts around add their own path to each."""
    return ValidationError.from_exception_data(
        "scenario",
        [
            InitErrorDetails(type=PydanticCustomError("fdr", "{text}", {"text": text}), loc=path, input=None)
            for path, text in problems
        ],
    )


def problems_of(error: ValidationError) -> list[tuple[Path, str]]:
    """Return the problems in pydantic's error, with their paths, in words for people."""
    return [(_path(details), _text(details)) for details in error.errors(include_url=False)]


def did_you_mean(word: str, known: Collection[str]) -> str:
    """Return a hint at the nearest known word, or at all of them where none is near and they are few."""
    folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(str(word)[:100].casefold(), list(folded), n=1, cutoff=0.6)
    if close:
        return f" (did you mean {folded[close[0]]!r}?)"
    if not known or len(known) > 20:
        return ""
    return f" (known: {', '.join(known)})"


def shown(value: object) -> str:
    """Return a value as it is quoted in a message; a book is not quoted whole."""
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _path(details: ErrorDetails) -> Path:
    """Return where a problem is, without pydantic's own marks of keys and alternatives."""
    return tuple(part for part in details["loc"] if part not in PYDANTICS_OWN)


def _text(details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    if "text" in context or "error" in context:
        return str(context.get("text", context.get("error")))
    return WRONG_TYPES.get(details["type"], details["msg"][:1].lower() + details["msg"][1:])
