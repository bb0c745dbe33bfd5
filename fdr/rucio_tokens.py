"""The tokens of a run's accounts: each got once for all threads, and renewed before it expires."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fdr.errors import LakeError

ASSUMED_LIFETIME_S = 3600.0  # Rucio's own, for a token that does not tell
AHEAD_S = 600.0  # a token is renewed so long before it expires, or when a quarter of its life is left
TRY_AGAIN_S = 5.0  # after a renewal that failed while the token is still good

# Gets a token into a directory; returns its lifetime in seconds, None where it is not told. Raises LakeError.
Login = Callable[[str, Path], float | None]


@dataclass(frozen=True, slots=True)
class Token:
    """A token that lies in a directory; times are those of a clock that only grows."""

    directory: Path
    renew_at: float
    expires_at: float


@dataclass(slots=True)
class _Account:
    renewing: threading.Lock = field(default_factory=threading.Lock)
    token: Token | None = None
    count: int = 0
    not_before: float = 0.0


class Tokens:
    """Keeps a token for each account, for calls from any thread.

    One thread renews; the others use the old token meanwhile, or wait when it has expired. ``in_place``
    says for an account that its login renews what lies in the directory, and wants to find it there.
    """

    def __init__(
        self,
        root: Path,
        login: Login,
        in_place: Callable[[str], bool] = lambda account: False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take a private directory and how to log in; nothing is sent yet."""
        self._root = root
        self._login = login
        self._in_place = in_place
        self._now = now
        self._accounts: dict[str, _Account] = {}

    def of(self, account: str) -> Token:
        """Return a token that is good for a while; raises LakeError when there is none to be had."""
        own = self._accounts.setdefault(account, _Account())
        token = own.token
        if token is not None:
            now = self._now()
            if now < max(token.renew_at, own.not_before):
                return token
            if now < token.expires_at and own.renewing.locked():
                return token
        with own.renewing:
            if own.token is None or own.token is token:
                own.token = self._renewed(account, own)
            return own.token

    def _renewed(self, account: str, own: _Account) -> Token:
        """Return a new token, or the old one when it is still good and Rucio gives no other."""
        directory = self._root / f"{account}-{0 if self._in_place(account) else own.count}"
        try:
            lifetime_s = self._login(account, directory)
        except LakeError:
            if own.token is None or self._now() >= own.token.expires_at:
                raise
            own.not_before = self._now() + TRY_AGAIN_S
            return own.token
        if lifetime_s is None:
            lifetime_s = ASSUMED_LIFETIME_S
        now = self._now()
        own.count += 1
        own.not_before = now + min(TRY_AGAIN_S, max(1.0, lifetime_s / 4))
        return Token(directory, now + lifetime_s - min(AHEAD_S, lifetime_s / 4), now + lifetime_s)
