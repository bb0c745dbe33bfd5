"""One supervised process of the embedded lake. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Service:
    """What the supervisor needs to keep one process running.

    ``command`` is an argument vector; a first element ``rucio:NAME`` means a Rucio daemon or server that
    the supervisor forks from its own process, where Rucio is imported already. ``user`` is the system
    user it drops to when the lake is started by root. Lower ``priority`` starts first.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    priority: int = 100
    stop_signal: str = "TERM"
