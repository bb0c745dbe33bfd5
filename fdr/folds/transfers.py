"""How many transfers were done between which RSEs, how fast, and where they waited. Pure."""

from __future__ import annotations

from array import array
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fdr.metrics import Link
from fdr.percentiles import Slice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fdr.model import TransferSeen

# A phase, and which of created, submitted, started and transferred it goes from and to.
PHASES = (
    ("transfer.queued", 0, 1),
    ("transfer.waiting", 1, 2),
    ("transfer.copy", 2, 3),
    ("transfer.total", 0, 3),
)
MIN_BUSY_S = 1.0  # FTS tells whole seconds: less is no measurement


def _seconds() -> array[float]:
    return array("d")


@dataclass(slots=True)
class _Seen:
    """What is known of one link so far; seconds are those of transfers that were done."""

    done: int = 0
    failed: int = 0
    bytes: int = 0
    timed_bytes: int = 0
    started: array[float] = field(default_factory=_seconds)
    transferred: array[float] = field(default_factory=_seconds)
    phases: dict[str, array[float]] = field(default_factory=lambda: defaultdict(_seconds))

    def busy_s(self) -> float:
        """Return how long at least one transfer was being copied.

        The union of the intervals: a sweep over starts and ends in order, counting what is open.
        """
        ends = iter(sorted(self.transferred))
        end = next(ends, 0.0)
        total, open_count, since = 0.0, 0, 0.0
        for start in sorted(self.started):
            while open_count and end < start:
                open_count -= 1
                total += end - since if open_count == 0 else 0.0
                end = next(ends, 0.0)
            since = start if open_count == 0 else since
            open_count += 1
        return total + (max(self.transferred) - since if open_count else 0.0)


class Transfers:
    """Takes transfer events; one told twice, as a broker may, is counted once."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._links: dict[tuple[str, str], _Seen] = defaultdict(_Seen)
        self._told: set[int] = set()

    def is_new(self, transfer: TransferSeen) -> bool:
        """Take one event; return whether it was new."""
        told = hash((transfer.request_id, transfer.done))
        if told in self._told:
            return False
        self._told.add(told)
        link = self._links[transfer.src_rse, transfer.dst_rse]
        if not transfer.done:
            link.failed += 1
            return True
        link.done += 1
        link.bytes += transfer.size_bytes
        moments = transfer.created_at, transfer.submitted_at, transfer.started_at, transfer.transferred_at
        for phase, first, second in PHASES:
            begin, end = moments[first], moments[second]
            if begin is not None and end is not None:
                link.phases[phase].append(max(0.0, end - begin))
        if transfer.started_at is not None and transfer.transferred_at is not None:
            link.timed_bytes += transfer.size_bytes
            link.started.append(transfer.started_at)
            link.transferred.append(max(transfer.started_at, transfer.transferred_at))
        return True

    def links(self) -> tuple[Link, ...]:
        """Return every link on which a transfer ended, in order of names."""
        found = []
        for (src, dst), seen in sorted(self._links.items()):
            busy = seen.busy_s()
            speed = seen.timed_bytes / busy if busy >= MIN_BUSY_S else None
            found.append(Link(src, dst, seen.done, seen.failed, seen.bytes, speed))
        return tuple(found)

    def slices(self) -> Iterator[Slice]:
        """Return the seconds of every phase, by link."""
        for (src, dst), seen in self._links.items():
            for phase, seconds in seen.phases.items():
                yield Slice(phase, (("dst", dst), ("src", src)), seconds)
