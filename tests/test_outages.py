"""Calls are seen through outages of Rucio, and nothing is claimed that may not have happened."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from fdr.errors import LakeError, Refused, Unclear
from fdr.model import Note
from fdr.outages import LONGEST_PAUSE_S, PATIENCE_S, PATIENCE_STOPPED_S, Outages
from fdr.stop import Stop
from tests.fakes.clock import FakeClock

START = 1_000_000.0
GONE = Unclear("server-connection", "Rucio cannot be reached")


class Server:
    """Answers, unless the time is within an outage; counts who asked what, and when."""

    def __init__(self) -> None:
        self.clock = FakeClock(START)
        self.stop = Stop()
        self.notes: list[Note] = []
        self.out_until = START
        self.error: LakeError = GONE
        self.hangs_s = 0.0
        self.logins: list[float] = []
        self.sent: list[float] = []
        self.outages = Outages(self.log_in, self.notes.append, self.clock, self.stop, chance=lambda: 0.0)

    async def log_in(self, account: str) -> None:
        self.logins.append(self.clock.now())
        await self._answer()

    async def deed(self) -> str:
        self.sent.append(self.clock.now())
        await self._answer()
        return "done"

    async def _answer(self) -> None:
        if self.clock.now() < self.out_until:
            await self.clock.sleep_until(self.clock.now() + self.hangs_s)
            raise self.error

    async def call(self, ask: Callable[[], Awaitable[str]] | None = None, *, settles: bool = False) -> str:
        return await self.outages.see_through("cta", ask or self.deed, refusal_settles=settles)


@pytest.fixture
def server() -> Server:
    return Server()


class Answers:
    """A call that meets these errors, one a try, and then is done."""

    def __init__(self, *errors: LakeError) -> None:
        self.left = list(errors)
        self.tries = 0

    async def __call__(self) -> str:
        self.tries += 1
        if self.left:
            raise self.left.pop(0)
        return "done"


async def test_a_server_that_answers_is_asked_once(server: Server) -> None:
    """In fair weather nothing is added to a call."""
    assert await server.call() == "done"
    assert (len(server.sent), server.logins, server.notes) == (1, [], [])


async def test_an_outage_costs_time_only_and_is_noted(server: Server) -> None:
    """A minute without Rucio: the call is done soon after, and one note says from when to when."""
    server.out_until = START + 60
    assert await server.call() == "done"
    assert START + 60 <= server.clock.now() <= START + 60 + LONGEST_PAUSE_S
    assert [note.kind for note in server.notes] == ["outage"]
    assert server.notes[0].text == (
        "no answer for 1m, from 13:46:40 UTC to 13:47:40 UTC, server-connection:"
        " 1 calls failed, 0 more waited"
    )


async def test_while_rucio_is_out_one_asks_and_the_others_wait(server: Server) -> None:
    """Two thousand calls hammer nobody: the first few fail, one question at a time is asked, all are done."""
    server.out_until = START + 600
    early = [asyncio.create_task(server.call()) for _ in range(3)]
    while len(server.logins) < 2:
        await asyncio.sleep(0)
    assert await asyncio.gather(*early, *(server.call() for _ in range(2000))) == ["done"] * 2003
    failed = [at for at in server.sent if at < server.out_until]
    assert len(failed) == 3
    assert len(server.logins) < 600 / LONGEST_PAUSE_S + 6
    assert "3 calls failed, 2000 more waited" in server.notes[0].text


async def test_the_pauses_grow_to_a_bound(server: Server) -> None:
    """Rucio is asked after 1, 2, 4, 8 and then every 15 seconds."""
    server.out_until = START + 100
    await server.call()
    pauses = [b - a for a, b in zip(server.logins, server.logins[1:], strict=False)]
    assert pauses[:6] == [1, 2, 4, 8, 15, 15]
    assert max(pauses) == LONGEST_PAUSE_S


async def test_patience_ends_and_says_so(server: Server) -> None:
    """After a quarter of an hour the call ends as its tries did: what was sent may have happened."""
    server.out_until = START + 10_000
    with pytest.raises(Unclear, match=r"given up after 1 tries in 15m") as given_up:
        await server.call()
    assert given_up.value.reason == "server-connection"
    assert PATIENCE_S <= server.clock.now() - START <= PATIENCE_S + LONGEST_PAUSE_S
    with pytest.raises(Refused, match="the call was not sent") as waited:
        await server.call()
    assert waited.value.reason == "server-connection"
    assert len(server.sent) == 1


async def test_refusals_are_told_at_once(server: Server) -> None:
    """What Rucio says no to is not tried again."""
    answers = Answers(Refused("access-denied", "no"))
    with pytest.raises(Refused):
        await server.call(answers)
    assert (answers.tries, server.clock.now()) == (1, START)


async def test_a_refusal_after_an_unclear_try_is_unclear(server: Server) -> None:
    """The repeat is refused, but the first try may have had its effect."""
    with pytest.raises(Unclear, match="an earlier try may have had its effect"):
        await server.call(Answers(GONE, Refused("insufficient-account-limit", "no")))


async def test_a_refusal_settles_where_a_repeat_of_what_is_done_would_not_be_refused(server: Server) -> None:
    """What is registered is taken again, so a repeat that is refused says that it is not; few do not."""
    with pytest.raises(Refused):
        await server.call(Answers(GONE, Refused("rse-not-found", "no")), settles=True)
    with pytest.raises(Unclear):
        await server.call(Answers(GONE, Refused("unsupported-operation", "closed")), settles=True)


async def test_what_was_never_sent_stays_refused(server: Server) -> None:
    """A connection that was never made had no effect, however often it was tried."""
    server.out_until, server.error = START + 10_000, Refused("connection", "no route")
    with pytest.raises(Refused):
        await server.call()


async def test_a_stopped_run_does_not_wait_long(server: Server) -> None:
    """Within the engine's grace every call has ended, by itself and with its reason."""
    server.out_until = START + 10_000
    calling = asyncio.create_task(server.call())
    while server.clock.now() < START + 100:
        await asyncio.sleep(0)
    server.stop.because("interrupted", "SIGINT")
    with pytest.raises(Unclear):
        await calling
    assert server.clock.now() - START <= 100 + LONGEST_PAUSE_S + PATIENCE_STOPPED_S + 1


async def test_a_call_that_fails_by_itself_holds_up_nobody(server: Server) -> None:
    """While Rucio answers others, the one that fails is tried after pauses of its own, and is no outage."""
    failing = Answers(*[Unclear("database", "deadlock")] * 5)
    assert await server.call(failing) == "done"
    assert failing.tries == 6
    assert server.clock.now() - START == 1 + 2 + 4 + 8 + 15
    assert server.notes == []


async def test_a_server_that_hung_is_an_outage_though_it_answers_now(server: Server) -> None:
    """A call that timed out is noted, since when and for how long."""
    server.out_until, server.hangs_s, server.error = START + 50, 60, Unclear("timeout", "no answer in 60 s")
    assert await server.call() == "done"
    assert "no answer for 1m, from" in server.notes[0].text
    assert "UTC, timeout: 1 calls failed" in server.notes[0].text


async def test_a_straggler_opens_no_new_outage(server: Server) -> None:
    """A call that was sent before the outage ended and fails after it is only sent again."""
    release = asyncio.Event()
    straggling = Answers()

    async def straggle() -> str:
        if not straggling.tries:
            straggling.tries += 1
            await release.wait()
            raise Unclear("timeout", "no answer")
        return await straggling()

    early = asyncio.create_task(server.call(straggle))
    await asyncio.sleep(0)
    server.out_until = START + 30
    await server.call()
    release.set()
    assert await early == "done"
    assert len(server.notes) == 1


async def test_an_outage_that_is_not_over_is_noted_at_the_end(server: Server) -> None:
    """The record of a run that ends without Rucio says so."""
    server.out_until = START + 1e6
    with pytest.raises(Unclear):
        await server.call()
    await server.outages.close()
    assert "UTC to the end, server-connection" in server.notes[0].text


async def test_who_is_cancelled_disturbs_nobody(server: Server) -> None:
    """The one that asks may be cancelled; the others still get their answer."""
    server.out_until = START + 60
    first, second = asyncio.create_task(server.call()), asyncio.create_task(server.call())
    while not server.logins:
        await asyncio.sleep(0)
    first.cancel()
    assert await second == "done"


async def test_a_defect_is_not_waited_out(server: Server) -> None:
    """What nobody foresaw comes out, also where others wait for the answer."""

    async def surprise(account: str) -> None:
        raise ZeroDivisionError

    outages = Outages(surprise, server.notes.append, server.clock, server.stop)
    server.out_until = START + 60
    with pytest.raises(ZeroDivisionError):
        await outages.see_through("cta", server.deed)
