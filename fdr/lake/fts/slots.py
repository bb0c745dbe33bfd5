"""How many transfers may be active at once: in all, on each link, and at each storage. Pure."""

from __future__ import annotations

from collections import Counter

from fdr.lake.fts.job import Link


class Slots:
    """Counts of active transfers against their limits.

    A storage has a limit for what comes in and the same for what goes out, which is another for root://
    than for http; a link may have a limit of its own in place of the common one.
    """

    def __init__(self, total: int, per_link: int, per_storage: int, per_web_storage: int) -> None:
        """Take the limits."""
        self.total = total
        self.per_link = per_link
        self.per_storage = per_storage
        self.per_web_storage = per_web_storage
        self.limits: dict[Link, int] = {}
        self.active: Counter[Link] = Counter()
        self._outbound: Counter[str] = Counter()
        self._inbound: Counter[str] = Counter()

    @property
    def is_full(self) -> bool:
        """Whether nothing more may start anywhere."""
        return self.active.total() >= self.total

    def has_room(self, link: Link) -> bool:
        """Return whether one more transfer may start on a link."""
        return (
            not self.is_full
            and self.active[link] < self.limits.get(link, self.per_link)
            and self._outbound[link.source_se] < self._limit(link.source_se)
            and self._inbound[link.dest_se] < self._limit(link.dest_se)
        )

    def take(self, link: Link) -> None:
        """Count a transfer that starts."""
        self._add(link, +1)

    def give_back(self, link: Link) -> None:
        """Count a transfer that ended."""
        self._add(link, -1)

    def _limit(self, storage: str) -> int:
        return self.per_storage if storage.startswith("root://") else self.per_web_storage

    def _add(self, link: Link, step: int) -> None:
        self.active[link] += step
        self._outbound[link.source_se] += step
        self._inbound[link.dest_se] += step
        if not self.active[link]:
            del self.active[link]
