"""What went wrong, in countable groups. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fdr.metrics import Failure
from fdr.model import Ending

if TYPE_CHECKING:
    from fdr.model import Outcome, TransferSeen

MAX_GROUPS = 100  # more, and a new reason is counted as "other"
MAX_REASON = 120
MAX_EXAMPLE = 300
ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+")
NUMBER = re.compile(r"\b(?=\w*\d)[0-9a-fA-F]{5,}\b|\b[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}\b")


@dataclass(slots=True)
class _Group:
    count: int
    first: float
    last: float
    example: str
    action: int | None


class Failures:
    """Takes what did not end well; keeps one example of each reason."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._groups: dict[tuple[str, str, str], _Group] = {}

    def take_outcome(self, outcome: Outcome) -> None:
        """Take an outcome that is not OK."""
        key = outcome.step, outcome.ending.value, outcome.reason or "no reason told"
        self._count(key, outcome.ended_at, outcome.message, outcome.action)

    def take_transfer(self, transfer: TransferSeen) -> None:
        """Take a transfer that failed; addresses and numbers are taken out of what is counted."""
        example = f"{transfer.did} from {transfer.src_rse or '?'} to {transfer.dst_rse}: {transfer.reason}"
        key = "transfer", Ending.FAILED.value, countable(transfer.reason)
        self._count(key, transfer.at, example, None)

    def groups(self) -> tuple[Failure, ...]:
        """Return the groups, the greatest first."""
        found = [
            Failure(*key, group.count, group.first, group.last, group.example, group.action)
            for key, group in self._groups.items()
        ]
        return tuple(sorted(found, key=lambda failure: (-failure.count, failure.operation, failure.reason)))

    def _count(self, key: tuple[str, str, str], at: float, example: str, action: int | None) -> None:
        if key not in self._groups and len(self._groups) >= MAX_GROUPS:
            key = *key[:2], "other"
        group = self._groups.get(key)
        if group is None:
            self._groups[key] = _Group(1, at, at, shortened(example, MAX_EXAMPLE), action)
            return
        group.count += 1
        group.first = min(group.first, at)
        group.last = max(group.last, at)


def countable(reason: str) -> str:
    """Return a reason without what differs from file to file: addresses, long numbers, identifiers."""
    text = NUMBER.sub("N", ADDRESS.sub("URL", " ".join(reason.split())))
    return shortened(text, MAX_REASON) or "no reason told"


def shortened(text: str, length: int) -> str:
    """Return the text, cut with an ellipsis if it is longer than so many characters."""
    return text if len(text) <= length else text[: length - 3] + "..."
