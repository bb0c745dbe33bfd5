"""How many files were put and registered, and how long it took. Pure."""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from typing import TYPE_CHECKING

from fdr.metrics import Timeline, UploadCounts
from fdr.model import SETTLED, Ending
from fdr.percentiles import Slice

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fdr.model import Intention, Outcome

Place = tuple[str, str]  # experiment and RSE

NOT_ENDED = 0
ENDINGS = {Ending.OK: 1, Ending.FAILED: 2, Ending.UNKNOWN: 3, Ending.DROPPED: 4}
OK, FAILED, UNKNOWN, DROPPED = 1, 2, 3, 4

BUCKETS = 120
WIDTHS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


class Uploads:
    """Takes intentions of uploads and the outcomes of their steps; about 130 bytes a file.

    Of several outcomes of one step the last settles it; one that was found out later tells no times. The
    first intention of a file says when it was due.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._slot: dict[int, int] = {}
        self._places: dict[Place, int] = {}
        self._place = array("H")
        self._size = array("q")
        self._due = array("d")
        self._put = bytearray()
        self._register = bytearray()
        self._begun = array("d")
        self._put_s = array("d")
        self._register_s = array("d")
        self._registered_at = array("d")

    def intend(self, intention: Intention) -> None:
        """Take the intention of an upload."""
        if intention.action in self._slot:
            return
        self._slot[intention.action] = len(self._due)
        place = intention.experiment, intention.rse
        self._place.append(self._places.setdefault(place, len(self._places)))
        self._size.append(intention.size_bytes)
        self._due.append(intention.due_at)
        self._put.append(NOT_ENDED)
        self._register.append(NOT_ENDED)
        for times in (self._begun, self._put_s, self._register_s, self._registered_at):
            times.append(math.nan)

    def end(self, outcome: Outcome) -> None:
        """Take the outcome of a put or a registration; one whose intention is not known is not counted."""
        slot = self._slot.get(outcome.action)
        if slot is None:
            return
        is_ok = outcome.ending is Ending.OK
        is_timed = outcome.reason != SETTLED
        took = outcome.ended_at - outcome.begun_at if is_ok and is_timed else math.nan
        if outcome.step == "put":
            self._put[slot] = ENDINGS[outcome.ending]
            self._put_s[slot] = took
            if is_timed and outcome.ending is not Ending.DROPPED and math.isnan(self._begun[slot]):
                self._begun[slot] = outcome.begun_at
        else:
            self._register[slot] = ENDINGS[outcome.ending]
            self._register_s[slot] = took
            self._registered_at[slot] = outcome.ended_at if is_ok else math.nan

    def counts(self) -> dict[Place, UploadCounts]:
        """Return how the uploads ended, by experiment and RSE."""
        tally: dict[tuple[int, int, int], int] = defaultdict(int)
        ok_bytes: dict[int, int] = defaultdict(int)
        for place, put, register, size in zip(
            self._place, self._put, self._register, self._size, strict=True
        ):
            tally[place, put, register] += 1
            if put == OK and register == OK:
                ok_bytes[place] += size
        found = dict.fromkeys(self._places, UploadCounts())
        names = list(self._places)
        for (place, put, register), count in tally.items():
            found[names[place]] += _counted(put, register, count)
        for place, size in ok_bytes.items():
            found[names[place]] += UploadCounts(bytes_ok=size)
        return found

    def slices(self) -> Iterator[Slice]:
        """Return lateness, put, register and total seconds, by experiment and RSE."""
        phases = {
            "upload.lateness": self._minus_due(self._begun),
            "upload.put": self._put_s,
            "upload.register": self._register_s,
            "upload.total": self._totals(),
        }
        for phase, seconds in phases.items():
            pieces = [array("d") for _ in self._places]
            for place, value in zip(self._place, seconds, strict=True):
                if value == value:  # not NaN  # noqa: PLR0124
                    pieces[place].append(value)
            for (experiment, rse), piece in zip(self._places, pieces, strict=True):
                yield Slice(phase, (("experiment", experiment), ("rse", rse)), piece)

    def timeline(self, begin: float) -> Timeline:
        """Return files due and registered over time, in at most ``BUCKETS`` buckets."""
        ends = [
            max(times, default=begin)
            for times in (self._due, [at for at in self._registered_at if at == at])  # noqa: PLR0124
        ]
        span = max(0.0, max(ends) - begin)
        width = next((width for width in WIDTHS_S if span < width * BUCKETS), span / (BUCKETS - 1))
        count = int(span / width) + 1
        return Timeline(
            begin, width, self._spread(self._due, begin, width, count),
            self._spread(self._registered_at, begin, width, count),
        )  # fmt: skip

    def _totals(self) -> array[float]:
        """Return the seconds from due to registered, where it is known when a file was."""
        totals = self._minus_due(self._registered_at)
        for slot, took in enumerate(self._register_s):
            if took != took:  # NaN: it was settled later  # noqa: PLR0124
                totals[slot] = math.nan
        return totals

    def _minus_due(self, times: Iterable[float]) -> array[float]:
        return array("d", (at - due for at, due in zip(times, self._due, strict=True)))

    def _spread(
        self, times: Iterable[float], begin: float, width: float, count: int
    ) -> dict[str, tuple[int, ...]]:
        buckets = {experiment: [0] * count for experiment, _ in self._places}
        rows = [buckets[experiment] for experiment, _ in self._places]
        for place, at in zip(self._place, times, strict=True):
            if at == at:  # noqa: PLR0124
                rows[place][max(0, int((at - begin) / width))] += 1
        return {experiment: tuple(row) for experiment, row in buckets.items()}


def _counted(put: int, register: int, count: int) -> UploadCounts:
    """Say what so many uploads with these two endings are; whatever is not settled is unknown."""
    registered = count if register == OK else 0
    if put == OK and register == OK:
        return UploadCounts(intended=count, ok=count, registered=registered)
    if put == DROPPED:
        return UploadCounts(intended=count, dropped=count, registered=registered)
    if put == FAILED:
        return UploadCounts(intended=count, put_failed=count, registered=registered)
    if put == OK and register in {FAILED, DROPPED}:
        return UploadCounts(intended=count, register_failed=count)
    return UploadCounts(intended=count, unknown=count, registered=registered)
