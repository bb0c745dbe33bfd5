"""See calls to Rucio through its outages: wait while it does not answer, then send them again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from fdr.clock import Clock
from fdr.errors import LakeError, Refused, Unclear
from fdr.model import Note
from fdr.stop import Stop
from fdr.units import format_duration

PATIENCE_S = 900.0  # how long one call is seen through
PATIENCE_STOPPED_S = 20.0  # how long once the run should end: less than the engine's grace
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 15.0
# The reasons of RucioDoor that a server, or what stands before it, may have today and not in a minute.
PASSING = frozenset(
    {
        "conflict",
        "connection",
        "connection-broken",
        "database",
        "resource-temporary-unavailable",
        "server-connection",
        "service-unavailable",
        "timeout",
    }
)
# Refusals that come before Rucio has looked whether the deed was done already.
SAYS_NOTHING = frozenset({"access-denied", "unauthenticated", "unsupported-operation"})

T = TypeVar("T")


@dataclass(slots=True)
class _Outage:
    """A time in which calls failed; ``is_certain`` once a question that any server answers failed too."""

    since: float
    reason: str
    calls_failed: int = 0
    calls_waiting: int = 0
    probes_failed: int = 0
    is_certain: bool = False
    was_long: bool = False


class Outages:
    """Sees the calls of one run through: only those that may be repeated, as a repeat counts as done.

    When a call fails for a reason that may pass, ``log_in`` finds out whether Rucio is there. While it is
    not, one such question is asked at a time, after pauses that grow from FIRST_PAUSE_S to LONGEST_PAUSE_S,
    and every other call waits for its answer. A call that fails although Rucio is there is sent again after
    such pauses of its own. When an outage is over, ``record`` gets a note.
    """

    def __init__(
        self,
        log_in: Callable[[str], Awaitable[None]],
        record: Callable[[Note], None],
        clock: Clock,
        stop: Stop,
        patience_s: float = PATIENCE_S,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Take the question that any server answers, and for how many seconds a call is seen through."""
        self._log_in = log_in
        self._record = record
        self._clock = clock
        self._stop = stop
        self._patience_s = patience_s
        self._chance = chance
        self._outage: _Outage | None = None
        self._round: asyncio.Task[None] | None = None
        self._answered_at = clock.now()
        self._stopped_at: float | None = None

    async def see_through(
        self, account: str, ask: Callable[[], Awaitable[T]], *, refusal_settles: bool = False
    ) -> T:
        """Return what ``ask`` returns in the end, or raise how it failed.

        Raises Unclear when any try may have had its effect. ``refusal_settles`` says that a repeat is refused
        only if no earlier try had its effect.
        """
        call = _Call(self._clock.now())
        while True:
            await self._wait_until_there(account, call)
            begun_at = self._clock.now()
            try:
                return await ask()
            except LakeError as error:
                call.failed(error)
                if error.reason not in PASSING:
                    raise call.settled(refusal_settles) from error
            self._notice(begun_at, call.error)
            self._check_patience(call)
            await self._find_out(account)
            if not self._is_out:
                await self._pause(call.tries)

    async def close(self) -> None:
        """Stop asking, and note an outage that is not over."""
        if self._round is not None:
            self._round.cancel()
            await asyncio.gather(self._round, return_exceptions=True)
        self._over("the end")

    @property
    def _is_out(self) -> bool:
        return self._outage is not None and self._outage.is_certain

    async def _wait_until_there(self, account: str, call: _Call) -> None:
        if self._outage is not None and self._outage.is_certain and not call.tries:
            self._outage.calls_waiting += 1
        while self._is_out:
            self._check_patience(call)
            await self._find_out(account)

    def _check_patience(self, call: _Call) -> None:
        """Raise how a call failed, when it has been seen through for long enough."""
        now = self._clock.now()
        if self._stop.wanted and self._stopped_at is None:
            self._stopped_at = now
        is_over = now - call.since >= self._patience_s
        if self._stopped_at is not None and now - self._stopped_at >= PATIENCE_STOPPED_S:
            is_over = True
        if is_over:
            raise call.given_up(now, self._outage.reason if self._outage else "")

    async def _find_out(self, account: str) -> None:
        """Wait until it has been asked once more whether Rucio is there; one asks for all."""
        if self._round is None or self._round.done():
            self._round = asyncio.create_task(self._ask(account), name="is-rucio-there")
        await asyncio.shield(self._round)

    async def _ask(self, account: str) -> None:
        if self._outage is not None:
            await self._pause(self._outage.probes_failed)
        begun_at = self._clock.now()
        try:
            await self._log_in(account)
        except LakeError as error:
            if error.reason in PASSING:
                outage = self._outage = self._outage or _Outage(begun_at, error.reason)
                outage.is_certain = True
                outage.probes_failed += 1
                return
        self._over(_time_of_day(self._clock.now()))
        self._answered_at = self._clock.now()

    def _notice(self, begun_at: float, error: LakeError) -> None:
        """Suspect an outage, unless the call was sent before the last one was over."""
        if self._outage is None:
            if begun_at < self._answered_at:
                return
            self._outage = _Outage(begun_at, error.reason)
        self._outage.since = min(self._outage.since, begun_at)
        self._outage.calls_failed += 1
        self._outage.was_long |= error.reason == "timeout"

    def _over(self, until: str) -> None:
        """Note an outage that is over; a call that failed by itself while Rucio was there is none."""
        outage, self._outage = self._outage, None
        if outage is None or not (outage.is_certain or outage.was_long):
            return
        now = self._clock.now()
        text = (
            f"no answer for {format_duration(round(now - outage.since, 1))}, from"
            f" {_time_of_day(outage.since)} to {until}, {outage.reason}: {outage.calls_failed} calls failed,"
            f" {outage.calls_waiting} more waited"
        )
        self._record(Note(now, "outage", text))

    async def _pause(self, failures: int) -> None:
        """Wait before one more try: twice as long as the last time, less up to half by chance."""
        if not failures:
            return
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(failures - 1, 10))
        until = self._clock.now() + pause_s * (1 - self._chance() / 2)
        if self._stop.wanted:
            await self._clock.sleep_until(min(until, self._clock.now() + FIRST_PAUSE_S))
            return
        await self._stop.cut_short(self._clock.sleep_until(until))


class _Call:
    """What has become of the tries of one call."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.tries = 0
        self.error: LakeError = Refused("not-sent", "the call was not sent")
        self._may_have_happened = False

    def failed(self, error: LakeError) -> None:
        self.tries += 1
        self.error = error
        if isinstance(error, Unclear):
            self._may_have_happened = True

    def settled(self, refusal_settles: bool) -> LakeError:
        """Return what the last error comes to, with the tries before it."""
        settles = refusal_settles and self.error.reason not in SAYS_NOTHING
        if isinstance(self.error, Unclear) or settles or not self._may_have_happened:
            return self.error
        return Unclear(self.error.reason, f"{self.error}; an earlier try may have had its effect")

    def given_up(self, now: float, outage_reason: str) -> LakeError:
        waited = format_duration(round(now - self.since, 1))
        if not self.tries:
            reason = outage_reason or self.error.reason
            return Refused(reason, f"Rucio did not answer for {waited}: the call was not sent")
        kind = Unclear if self._may_have_happened else Refused
        return kind(self.error.reason, f"{self.error}; given up after {self.tries} tries in {waited}")


def _time_of_day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S} UTC"
