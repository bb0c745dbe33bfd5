"""Links that are told to be slow or to fail, for tests of what stands on them. Pure."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from fdr.lake.fts.job import Link
from fdr.lake.fts.submission import Refusal

REASON = re.compile(r"(SOURCE|DESTINATION|TRANSFER|STAGING|AGENT) \[\d+\] ")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the links from ``src`` to ``dst``.

    Both are patterns (``*`` and ``?``) of a host or of scheme://host. ``delay_s`` passes before a copy;
    ``fail`` is the reason it fails with instead of being made; ``rate`` is the most bytes a second
    that one copy makes; ``hang`` is a copy that never ends by itself. Each attempt suffers it with
    ``probability``.
    """

    src: str = "*"
    dst: str = "*"
    delay_s: float = 0.0
    fail: str = ""
    probability: float = 1.0
    rate: float = 0.0
    hang: bool = False

    def covers(self, link: Link) -> bool:
        """Return whether a link is among those from ``src`` to ``dst``."""
        return _matches(self.src, link.source_se) and _matches(self.dst, link.dest_se)


class Faults:
    """The faults told so far; the last one told that covers a link counts. A restart forgets them."""

    def __init__(self, seed: int) -> None:
        """Take the seed of the draws."""
        self._seed = seed
        self._faults: dict[tuple[str, str], tuple[Fault, random.Random]] = {}

    def tell(self, fault: Fault) -> None:
        """Add a fault, in place of one with the same two patterns."""
        key = (fault.src, fault.dst)
        self._faults.pop(key, None)
        self._faults[key] = (fault, random.Random(f"{self._seed}/{fault.src}/{fault.dst}"))

    def mend(self, src: str | None, dst: str | None) -> None:
        """Take back the faults with these patterns; None is any."""
        for key in list(self._faults):
            if src in (None, key[0]) and dst in (None, key[1]):
                del self._faults[key]

    def listed(self) -> list[dict[str, Any]]:
        """Return every fault, in the order told."""
        return [asdict(fault) for fault, _ in self._faults.values()]

    def draw(self, link: Link) -> Fault:
        """Return what the next attempt on a link suffers; an empty fault is nothing."""
        for fault, draws in reversed(self._faults.values()):
            if fault.covers(link):
                return fault if draws.random() < fault.probability else Fault()
        return Fault()


def fault_from(body: Any) -> Fault:
    """Return the fault that a request describes; raises Refusal (400) and says what is wrong."""
    if not isinstance(body, Mapping):
        raise Refusal(400, 'write a JSON object, such as {"src": "*", "dst": "127.0.1.2", "delay_s": 2}')
    known = {field.name: field for field in fields(Fault)}
    for key, value in body.items():
        if key not in known:
            raise Refusal(400, f"unknown key {key!r}: write any of {', '.join(known)}")
        wanted = type(known[key].default)
        fits = isinstance(value, int | float) if wanted is float else isinstance(value, wanted)
        if not fits or (wanted is float and (isinstance(value, bool) or value < 0)):
            raise Refusal(
                400,
                f"{key}: {value!r} is not a {'number of 0 or more' if wanted is float else wanted.__name__}",
            )
    fault = Fault(**body)
    if fault.probability > 1:
        raise Refusal(400, f"probability: {fault.probability} is more than 1")
    return fault


def fault_reason(text: str) -> str:
    """Return a told reason as FTS3 would write it: with its scope and its error number."""
    return text if REASON.match(text) else f"TRANSFER [5] {text}"


def _matches(pattern: str, storage: str) -> bool:
    return fnmatchcase(storage, pattern) or fnmatchcase(urlsplit(storage).hostname or "", pattern)
