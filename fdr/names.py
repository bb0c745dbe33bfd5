"""The names of a run's files and datasets, from a template. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from string import Formatter
from typing import TYPE_CHECKING

from fdr.rucio_schema import NAME_LENGTH, NAME_PATTERN

if TYPE_CHECKING:
    from fdr.model import Experiment

DEFAULT_TEMPLATE = "{experiment}/{dataset:05d}/{file:07d}"
DATASET_TEMPLATE = "{run}/{experiment}/dataset-{dataset:05d}"
NUMBERS = ("dataset", "file")
WORDS = ("experiment", "run", "date")
# Padded with zeros, decimal or hexadecimal: each keeps two numbers apart, and has no space or sign in it.
NUMBER_FORMAT = re.compile(r"(?:0[1-9][0-9]?)?[dxX]?")

SOME_RUN, SOME_DATE = "20261122T203015-7f3a", "20261122"


def did_name(experiment: Experiment, run_id: str, date: str, dataset: int, file: int) -> str:
    """Return the DID name of an experiment's file: its template filled in, unique to the run.

    A template that does not name {run} gets the run's id as its first path element. ``date`` is the
    day the run started on, as it is to be written.
    """
    return _render(experiment.inject.name, experiment.name, run_id, date, dataset, file)


def dataset_name(experiment: Experiment, run_id: str, dataset: int) -> str:
    """Return the DID name of an experiment's dataset: ``RUN/EXPERIMENT/dataset-00000``."""
    return DATASET_TEMPLATE.format(run=run_id, experiment=experiment.name, dataset=dataset)


def is_name_of(run_id: str, name: str) -> bool:
    """Tell whether a name is one of a run's: every template writes the run's id into every name."""
    return run_id in name


def check_template(template: str, experiment: str, last: int) -> None:
    """Refuse a template that could give a name which Rucio does not take or which is not unique.

    ``last`` is the highest number that a dataset or a file may have. Raises ValueError, with what to
    write instead.
    """
    fields = _fields(template)
    if "file" not in fields:
        raise ValueError("{file} is missing, and names would repeat (write for example {file:06d})")
    for number in (0, last):
        name = _render(template, experiment, SOME_RUN, SOME_DATE, number, number)
        if len(name) > NAME_LENGTH:
            raise ValueError(f"gives names of {len(name)} characters (Rucio takes {NAME_LENGTH})")
        if not re.fullmatch(NAME_PATTERN, name):
            wrong = sorted(set(re.findall(r"[^/A-Za-z0-9.\-_]", name))) or [name[0]]
            raise ValueError(f"gives {name!r}, and Rucio does not take {' '.join(map(repr, wrong))} there")
        if any(element in ("", ".", "..") for element in name.split("/")):
            raise ValueError(f"gives {name!r}, with an empty, '.' or '..' path element (write plain ones)")


def may_clash(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Tell whether two (template, experiment) could give the same name in one run, whatever their numbers.

    Both are taken as patterns, characters and runs of digits, and followed side by side until they part.
    """
    left, right = _pattern(*one), _pattern(*other)
    seen, ahead = set(), [(0, 0)]
    while ahead:
        at = ahead.pop()
        if at == (len(left), len(right)):
            return True
        if at in seen or at[0] == len(left) or at[1] == len(right):
            continue
        seen.add(at)
        (left_takes, left_repeats), (right_takes, right_repeats) = left[at[0]], right[at[1]]
        if left_takes & right_takes:
            lefts = (at[0], at[0] + 1) if left_repeats else (at[0] + 1,)
            rights = (at[1], at[1] + 1) if right_repeats else (at[1] + 1,)
            ahead += [(i, j) for i in lefts for j in rights]
    return False


@lru_cache(maxsize=1024)  # each is held against every other of its scope
def _pattern(template: str, experiment: str) -> list[tuple[frozenset[str], bool]]:
    """Return the characters that each place of a name may hold, and whether the place may repeat."""
    places: list[tuple[frozenset[str], bool]] = []
    prefix = "" if "{run" in template else f"{SOME_RUN}/"
    for literal, field, spec, _ in Formatter().parse(prefix + template):
        places += [(frozenset(character), False) for character in literal]
        match field:
            case "file" | "dataset":
                digits = "0123456789" + {"x": "abcdef", "X": "ABCDEF"}.get((spec or "d")[-1], "")
                places.append((frozenset(digits), True))
            case "date":
                places += [(frozenset("0123456789"), False)] * len(SOME_DATE)
            case "run" | "experiment":
                word = SOME_RUN if field == "run" else experiment
                places += [(frozenset(character), False) for character in word]
    return places


def _render(template: str, experiment: str, run_id: str, date: str, dataset: int, file: int) -> str:
    name = template.format(experiment=experiment, run=run_id, date=date, dataset=dataset, file=file)
    return name if "{run" in template else f"{run_id}/{name}"


def _fields(template: str) -> set[str]:
    """Return the fields of a template; raise ValueError for one that is not a plain field."""
    try:
        parts = [(field, spec, conversion) for _, field, spec, conversion in Formatter().parse(template)]
    except ValueError as error:
        raise ValueError(f"is not a template: {error} (write a field as {{file:06d}})") from error
    fields = set()
    for field, spec, conversion in parts:
        if field is None:
            continue
        if field not in (*NUMBERS, *WORDS):
            known = ", ".join(f"{{{name}}}" for name in (*WORDS, *NUMBERS))
            raise ValueError(f"unknown field {{{field}}} (write one of {known})")
        if conversion:
            raise ValueError(f"{{{field}!{conversion}}} (write {{{field}}})")
        if field in WORDS and spec:
            raise ValueError(f"{{{field}:{spec}}} is text and takes no format (write {{{field}}})")
        if field in NUMBERS and not NUMBER_FORMAT.fullmatch(spec or ""):
            raise ValueError(f"{{{field}:{spec}}} could repeat or hold spaces (write {{{field}:06d}})")
        fields.add(field)
    return fields
