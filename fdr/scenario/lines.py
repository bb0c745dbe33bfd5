"""YAML as plain values, each with the line it stands on. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]
THE_KEY = "<the key>"  # last in a path: what is meant is the key before it, not its value

MOST_CHARACTERS = 1_000_000
MOST_VALUES = 100_000  # aliases count each time they are used, or ten lines could stand for a billion
DEEPEST = 40
LONGEST_NUMBER = 40
LONGEST_PROBLEM = 1000

TAG = "tag:yaml.org,2002:"
# YAML 1.2's plain values, and 1_000 for numbers. YAML 1.1, PyYAML's own, would read NO (Norway) as false,
# 1:30 as 90, 0100 as 64 and 2020-11-26 as a date.
PLAIN_VALUES = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9][0-9_]*", list("-+0123456789")),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?",
        list("-+.0123456789"),
    ),
}


class PlainLoader(yaml.SafeLoader):
    """Compose YAML with the plain values above."""


class PlainDumper(yaml.SafeDumper):
    """Write YAML that PlainLoader, and any YAML 1.1 reader, reads back as the same values."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write every value out."""
        return True


PlainLoader.yaml_implicit_resolvers = {}
for _name, (_pattern, _first) in PLAIN_VALUES.items():
    for _class in (PlainLoader, PlainDumper):
        _class.add_implicit_resolver(TAG + _name, re.compile(f"^(?:{_pattern})$"), _first)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at a path of a scenario; ``message`` says what to write instead."""

    path: Path
    message: str


@dataclass(slots=True)
class Document:
    """A scenario's raw value, the place of each path in it, and what was wrong in reading it.

    A place is ``file:line``, or the ``--set`` that put the value there.
    """

    file: str
    value: Any = None
    places: dict[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def sentences(self) -> tuple[str, ...]:
        """Return each problem as ``place: where: message``, in the order of the file, then of the sets."""
        told = sorted(self.problems, key=lambda problem: self._line(self._placed(problem.path)[1]))
        return tuple(dict.fromkeys(self._sentence(problem) for problem in told))

    def _placed(self, path: Path) -> tuple[int, str]:
        """Return how much of a path has a place of its own, and that place."""
        length = next(n for n in range(len(path), -1, -1) if path[:n] in self.places)
        return length, self.places[path[:length]]

    def _line(self, place: str) -> float:
        return float("inf") if place.startswith("--set ") else int(place.rpartition(":")[2])

    def _sentence(self, problem: Problem) -> str:
        is_key = problem.path[-1:] == (THE_KEY,)
        path = problem.path[:-1] if is_key else problem.path
        length, place = self._placed(path)
        where = dotted(path[:-1] if is_key else path)
        if not where or (place.startswith("--set ") and length == len(path)):
            return _one_line(f"{place}: {problem.message}")
        return _one_line(f"{place}: {where}: {problem.message}")


def dotted(path: Path) -> str:
    """Write a path as people do: ``experiments.CTA.rules[0].to``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def read_document(text: str, file: str) -> Document:
    """Read one YAML document; what is wrong with it is among its problems, never an exception."""
    document = Document(file, places={(): f"{file}:1"})
    if len(text) > MOST_CHARACTERS:
        document.problems.append(
            Problem((), f"{len(text)} characters are not a scenario (write {MOST_CHARACTERS} at most)")
        )
        return document
    try:
        node = yaml.compose(text, Loader=PlainLoader)
        if node is not None:
            document.value = _Reader(document).value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        document.places[()] = f"{file}:{mark.line + 1 if mark else 1}"
        document.problems.append(Problem((), f"is not YAML: {_explained(error)}"))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        document.places[()] = f"{file}:{line}"
        document.problems.append(Problem((), f"is not YAML: a control character, {error.character!r}"))
    except (TooMuchError, RecursionError):
        limits = f"{MOST_VALUES} values, {DEEPEST} deep"
        document.problems.append(Problem((), f"is too large or too deep for a scenario ({limits} at most)"))
    return document


def parse_value(text: str) -> Any:
    """Read one YAML value, such as a ``--set`` holds. Raises ValueError, with what is wrong."""
    document = read_document(text, "")
    if document.problems:
        raise ValueError(document.problems[0].message)
    return document.value


def write_document(value: Any) -> str:
    """Write a raw value as YAML that ``read_document`` reads back as the same value."""
    return yaml.dump(value, Dumper=PlainDumper, sort_keys=False, allow_unicode=True, width=100)


class TooMuchError(Exception):
    """A document holds more than a scenario ever would."""


class _Reader:
    """Turn YAML's nodes into values, noting where each stands."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._values = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        """Return the value of a node, None where there is none."""
        self._values += 1
        if self._values > MOST_VALUES or len(path) > DEEPEST:
            raise TooMuchError
        self._document.places.setdefault(path, f"{self._document.file}:{node.start_mark.line + 1}")
        match node:
            case yaml.MappingNode(tag="tag:yaml.org,2002:map"):
                return self._mapping(node, path)
            case yaml.SequenceNode(tag="tag:yaml.org,2002:seq"):
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            case yaml.ScalarNode():
                return self._scalar(node, path)
        return self._problem(path, f"the tag {node.tag!r} has no meaning here (leave it out)")

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(path, "a key is not a word (write KEY: VALUE)")
                continue
            # Always as it is written: 8: is a size here, and NO: a country.
            key, line = key_node.value, key_node.start_mark.line + 1
            place = f"{self._document.file}:{line}"
            if key in mapping:
                first = self._document.places[(*path, key)].rpartition(":")[2]
                self._document.places[(*path, key)] = place
                self._problem((*path, key), f"written twice, first in line {first} (write it once)")
            self._document.places[(*path, key)] = place
            mapping[key] = self.value(value_node, (*path, key))
        return mapping

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        match node.tag.removeprefix(TAG):
            case "str":
                return node.value
            case "null":
                return None
            case "bool":
                return node.value.lower() == "true"
            case "int" | "float" as kind:
                return self._number(int if kind == "int" else float, node.value, path)
        return self._problem(path, f"the tag {node.tag!r} has no meaning here (leave it out)")

    def _number(self, kind: type[int] | type[float], text: str, path: Path) -> int | float | None:
        if len(text) > LONGEST_NUMBER:
            self._problem(path, f"a number of {len(text)} characters (write fewer)")
            return None
        try:
            number = kind(text.replace("_", ""))
        except ValueError:
            self._problem(path, f"{text!r} is not a number (write it plainly)")
            return None
        if not math.isfinite(number):
            self._problem(path, f"{text!r} is not a finite number (write a smaller one)")
            return None
        return number

    def _problem(self, path: Path, message: str) -> None:
        self._document.problems.append(Problem(path, message))


def _one_line(text: str) -> str:
    """Return a problem as one line of what a terminal shows, whatever the author's words hold."""
    plain = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return plain if len(plain) <= LONGEST_PROBLEM else plain[: LONGEST_PROBLEM - 1] + "…"


def _explained(error: yaml.MarkedYAMLError) -> str:
    """Say what PyYAML found, and what helps where its own words do not."""
    text = " ".join(part for part in (error.context, error.problem) if part)
    if "'\\t'" in text:
        return f"{text} (indent with spaces, not tabs)"
    if "expected a single document" in text:
        return "more than one document (write one scenario a file, without ---)"
    if "mapping values are not allowed" in text:
        return f"{text} (indent the line as the ones around it, and quote a value with ': ' in it)"
    return text
