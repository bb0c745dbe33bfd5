"""Read docker-compose.yml as Docker Compose does: merged, interpolated, each service with its words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docker-compose.yml"
VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+):-(?P<default>[^}]*)\}")


@dataclass(frozen=True)
class ComposedService:
    """One service: the words it runs, and what it sees."""

    name: str
    image: str
    words: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: Mapping[str, tuple[str, bool]]  # where: which volume, and whether it can be written
    depends_on: Mapping[str, str]
    health: tuple[str, ...]
    is_attached: bool


def read() -> dict[str, ComposedService]:
    """Return the services by name, with the defaults of all variables."""
    content = yaml.safe_load(FILE.read_text())
    return {name: _service(name, _interpolated(raw)) for name, raw in content["services"].items()}


def volumes() -> set[str]:
    """Return the names of the volumes."""
    return set(yaml.safe_load(FILE.read_text())["volumes"])


def _service(name: str, raw: dict[str, Any]) -> ComposedService:
    mounts = [mount.split(":") for mount in raw.get("volumes", ())]
    depends_on = {other: how["condition"] for other, how in raw.get("depends_on", {}).items()}
    return ComposedService(
        name=name,
        image=raw["image"],
        words=(*raw.get("entrypoint", ()), *raw.get("command", ())),
        environment=raw.get("environment", {}),
        mounts={where: (volume, not how) for volume, where, *how in mounts},
        depends_on=depends_on,
        health=tuple(raw.get("healthcheck", {}).get("test", ())[1:]),
        is_attached=raw.get("attach", True),
    )


def _interpolated(value: Any) -> Any:
    if isinstance(value, str):
        return VARIABLE.sub(lambda found: found["default"] if found["name"] else "$", value)
    if isinstance(value, list):
        return [_interpolated(one) for one in value]
    if isinstance(value, dict):
        return {key: _interpolated(one) for key, one in value.items()}
    return value
