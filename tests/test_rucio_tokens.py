"""Tokens are got once, shared, and renewed before they expire."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path

import pytest

from fdr.connection import read_connection
from fdr.errors import LakeError, Refused
from fdr.rucio_client import jwt_lifetime_s, token_lifetime_s
from fdr.rucio_door import RucioDoor
from fdr.rucio_tokens import ASSUMED_LIFETIME_S, Tokens

HOUR_S = 3600.0


class Desk:
    """Gives out tokens, and counts them; ``refusal`` is raised instead."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.lifetime_s: float | None = HOUR_S
        self.refusal: LakeError | None = None
        self.given: list[tuple[str, str]] = []
        self.while_giving: Callable[[], None] = lambda: None

    def now(self) -> float:
        return self.at

    def log_in(self, account: str, directory: Path) -> float | None:
        self.while_giving()
        if self.refusal is not None:
            raise self.refusal
        self.given.append((account, directory.name))
        return self.lifetime_s


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def tokens(desk: Desk, tmp_path: Path) -> Tokens:
    return Tokens(tmp_path, desk.log_in, now=desk.now)


def test_a_token_serves_until_it_is_nearly_over(desk: Desk, tokens: Tokens) -> None:
    """One login an hour, and never with a token that has less than ten minutes left."""
    for at in range(0, 24 * 3600, 60):
        desk.at = 1000.0 + at
        assert tokens.of("cta").expires_at - desk.at >= 600
    assert len(desk.given) == 29  # every 50 minutes of a day
    assert len(set(desk.given)) == 29  # each in a directory of its own


def test_a_token_of_a_minute_is_renewed_when_a_quarter_is_left(desk: Desk, tokens: Tokens) -> None:
    """The margin shrinks with the lifetime."""
    desk.lifetime_s = 60.0
    first = tokens.of("cta")
    desk.at += 44.9
    assert tokens.of("cta") is first
    desk.at += 0.2
    assert tokens.of("cta").expires_at == desk.at + 60


def test_accounts_have_tokens_of_their_own(desk: Desk, tokens: Tokens) -> None:
    """No account acts with another's token."""
    assert tokens.of("cta").directory != tokens.of("ska").directory
    assert [account for account, _ in desk.given] == ["cta", "ska"]


def test_a_token_that_does_not_tell_is_taken_to_last_as_rucios_do(desk: Desk, tokens: Tokens) -> None:
    """An hour is assumed."""
    desk.lifetime_s = None
    assert tokens.of("cta").expires_at == desk.at + ASSUMED_LIFETIME_S


def test_many_threads_cost_one_login(desk: Desk, tokens: Tokens) -> None:
    """Eight threads that need the first token, and later the next, ask for it once each time."""
    desk.while_giving = lambda: time.sleep(0.05)
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(lambda _: tokens.of("cta"), range(8)))) == 1
        desk.at += HOUR_S  # over, so that all must wait for the new one
        assert len(set(threads.map(lambda _: tokens.of("cta"), range(8)))) == 1
    assert len(desk.given) == 2


def test_while_one_thread_renews_the_others_go_on_with_the_old_token(desk: Desk, tokens: Tokens) -> None:
    """A login that hangs holds up one call only, as long as the old token is good."""
    old = tokens.of("cta")
    desk.at = old.renew_at
    begun, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        go_on.wait(10)

    desk.while_giving = hang
    with ThreadPoolExecutor(1) as other:
        renewed = other.submit(tokens.of, "cta")
        assert begun.wait(10)
        assert tokens.of("cta") is old
        go_on.set()
        assert renewed.result(10) is not old


def test_a_login_that_fails_is_tried_again_while_the_old_token_serves(desk: Desk, tokens: Tokens) -> None:
    """An outage during the renewal costs nothing; after the expiry it is told."""
    old = tokens.of("cta")
    desk.at = old.renew_at
    desk.refusal = Refused("server-connection", "not there")
    assert tokens.of("cta") is old
    desk.refusal = None
    assert tokens.of("cta") is old  # not asked for again at once
    desk.at += 6
    assert tokens.of("cta") is not old
    desk.refusal = Refused("server-connection", "not there")
    desk.at += HOUR_S
    with pytest.raises(Refused):
        tokens.of("cta")


def test_the_lifetime_is_told_by_the_servers_own_clock() -> None:
    """A client whose clock is wrong renews in time all the same."""
    headers = {
        "X-Rucio-Auth-Token-Expires": "Mon, 13 May 2013 11:23:03 UTC",
        "Date": "Mon, 13 May 2013 10:23:03 GMT",
    }
    assert token_lifetime_s(headers) == HOUR_S
    epoch = {"X-Rucio-Auth-Token-Expires": str(int(time.time()) + 60), "Date": formatdate(usegmt=True)}
    assert token_lifetime_s(epoch) == pytest.approx(60, abs=2)
    assert token_lifetime_s({"X-Rucio-Auth-Token-Expires": "soon"}) is None
    assert token_lifetime_s({}) is None


def json_web_token(expires_at: float) -> str:
    """Return a token as an OIDC provider makes it; nobody checks the signature here."""
    parts = [{"alg": "none"}, {"exp": int(expires_at)}]
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "signature"])


def test_a_json_web_token_tells_when_it_expires() -> None:
    """Other tokens do not."""
    assert jwt_lifetime_s(json_web_token(time.time() + 100)) == pytest.approx(100, abs=2)
    assert jwt_lifetime_s("root-fdr-unknown-0123456789abcdef") is None
    assert jwt_lifetime_s("a.b.c") is None


async def test_an_oidc_token_is_read_again_before_it_expires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who renews the file of a WLCG token gets the new one used, and nobody is asked at the terminal."""
    cfg = tmp_path / "rucio.cfg"
    cfg.write_text("[client]\nrucio_host = http://127.0.0.1:9\nauth_type = oidc\n")
    file = tmp_path / "token"
    monkeypatch.setenv("RUCIO_CONFIG", str(cfg))
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(file))
    monkeypatch.delenv("BEARER_TOKEN", raising=False)
    monkeypatch.setattr(
        "fdr.rucio_door.THREADS", 1
    )  # another thread would read the file for a client of its own
    door = RucioDoor(read_connection(cfg))
    try:
        for lifetime_s in (1.0, 3600.0, 7200.0):
            file.write_text(json_web_token(time.time() + lifetime_s))
            used = await door.call("cta", lambda client: client.auth_token)
            assert (used == file.read_text()) == (lifetime_s < 7200)
            time.sleep(1.1 if lifetime_s == 1 else 0)
    finally:
        door.close()


async def test_nobody_is_asked_for_an_oidc_token_a_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no token any more the call is refused; a run does not wait at the terminal."""
    cfg = tmp_path / "rucio.cfg"
    cfg.write_text("[client]\nrucio_host = http://127.0.0.1:9\nauth_type = oidc\n")
    file = tmp_path / "token"
    file.write_text(json_web_token(time.time() + 0.5))
    monkeypatch.setenv("RUCIO_CONFIG", str(cfg))
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(file))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("BEARER_TOKEN", raising=False)
    monkeypatch.setattr("builtins.input", lambda: pytest.fail("asked at the terminal"))
    door = RucioDoor(read_connection(cfg))
    try:
        await door.call("cta", lambda client: client.auth_token)
        file.unlink()
        time.sleep(1.1)
        with pytest.raises(Refused, match="OIDC token has expired") as refused:
            await door.call("cta", lambda client: client.auth_token)
        assert refused.value.reason == "unauthenticated"
    finally:
        door.close()
