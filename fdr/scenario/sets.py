"""Changes that ``--set`` makes to a scenario before it is checked. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fdr.scenario.lines import Document, Path, Problem, parse_value

if TYPE_CHECKING:
    from collections.abc import Iterable

INDEX = re.compile(r"\[(\d{1,6})\]")


def apply_sets(document: Document, sets: Iterable[str]) -> None:
    """Put each ``dotted.path=VALUE`` into the document, VALUE read as YAML; later ones win.

    A list is indexed as ``rules[0]`` or ``rules.0``, and its length as index appends. ``null`` takes a key
    back. What cannot be done is among the document's problems.
    """
    for text in sets:
        one_line = " ".join(text.split())
        place = f"--set {one_line if len(one_line) <= 100 else one_line[:99] + '…'}"
        written, equals, value_text = text.partition("=")
        path = _path(written.strip())
        try:
            if not equals or not path or "" in path:
                raise ValueError("is not PATH=VALUE (write for example experiments.CTA.inject.files=100)")
            value = parse_value(value_text)
            if not isinstance(document.value, dict):
                # The file is not a scenario at all, which is said where it is found.
                continue
            reached = _put(document.value, path, value)
        except ValueError as error:
            document.problems.append(Problem(("--set", place), str(error)))
            document.places[("--set", place)] = place
            continue
        for old in [known for known in document.places if known[: len(reached)] == reached]:
            del document.places[old]
        document.places[reached] = place


def _path(text: str) -> tuple[str, ...]:
    return tuple(INDEX.sub(r".\1", text).split(".")) if text else ()


def _put(root: dict[str, Any], path: tuple[str, ...], value: Any) -> Path:
    """Set the value at a path, making the mappings on the way; return the path with its list indices."""
    here: Any = root
    reached: Path = ()
    for part in path[:-1]:
        key = _key(here, part, reached)
        reached = (*reached, key)
        if isinstance(here, list) and key == len(here):
            here.append({})
        elif isinstance(here, dict) and here.get(key) is None:
            here[key] = {}
        here = here[key]
    key = _key(here, path[-1], reached)
    is_new = key == len(here) if isinstance(here, list) else key not in here
    if value is None and is_new:
        raise ValueError("is not there to be taken back (write a value, or leave the option out)")
    if value is None:
        del here[key]
    elif isinstance(here, list) and is_new:
        here.append(value)
    else:
        here[key] = value
    return (*reached, key)


def _key(here: Any, part: str, reached: Path) -> str | int:
    where = ".".join(map(str, reached)) or "the scenario"
    if isinstance(here, dict):
        return part
    if not isinstance(here, list):
        raise ValueError(f"{where} has nothing below it (it is {here!r})")
    if not part.isascii() or not part.isdigit() or int(part) > len(here):
        raise ValueError(f"{where} is a list of {len(here)} (write an index from 0 to {len(here)})")
    return int(part)
