"""A client of Rucio whose token lies in a directory of its own, and that tells how long the token is good."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from fdr import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fdr.connection import Connection

EXPIRES = "X-Rucio-Auth-Token-Expires"
UNAVAILABLE = {502, 503, 504}
CONNECT_WITHIN_S = 10  # the client tries three times


def new_client(
    connection: Connection, account: str, directory: Path, timeout_s: float, *, may_ask: bool
) -> Any:
    """Return a client of an account that takes its token from a directory, or gets one and puts it there.

    An OIDC client looks first where WLCG tokens are found. ``may_ask`` lets it ask a person to log in; who
    is not asked is refused. ``timeout_s`` bounds how long the server may be silent. Raises what rucio-clients
    raises.
    """
    quiet = logging.getLogger("fdr.rucio")
    quiet.setLevel(logging.CRITICAL)
    identity = connection.identity_of(account)
    return _client_class()(
        directory,
        may_ask,
        rucio_host=connection.rucio_host,
        auth_host=connection.auth_host,
        account=account,
        ca_cert=connection.ca_cert,
        auth_type=identity.auth_type,
        creds=dict(identity.credentials),
        timeout=(CONNECT_WITHIN_S, timeout_s),
        user_agent=f"fdr/{__version__}",
        logger=quiet,
    )


def token_lifetime_s(headers: Mapping[str, str]) -> float | None:
    """Return for how many seconds a token is good, from the answer that brought it; None if it is not told.

    The server's own clock is what both times are by, so that ours may be wrong. OIDC tokens come with a
    time in Unix seconds.
    """
    expires = headers.get(EXPIRES, "").replace("UTC", "GMT")
    try:
        expires_at = float(expires) if expires.isdigit() else _unix(expires)
        return expires_at - (_unix(headers["Date"]) if "Date" in headers else time.time())
    except ValueError:
        return None


def jwt_lifetime_s(token: str) -> float | None:
    """Return for how many seconds a JSON web token is good, None for other tokens. It is not verified."""
    parts = token.strip().split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"]) - time.time()
    except (binascii.Error, ValueError, KeyError, TypeError):
        return None


def _unix(text: str) -> float:
    at = parsedate_to_datetime(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


@cache
def _client_class() -> type[Any]:
    """Return the class, made when it is first needed: importing rucio-clients takes most of a second."""
    from rucio.client.client import Client
    from rucio.common.exception import CannotAuthenticate, ServiceUnavailable

    class PrivateClient(Client):  # type: ignore[misc]  # rucio-clients has no types
        """A client whose token no other process and no other lake shares."""

        def __init__(self, directory: Path, may_ask: bool, **arguments: Any) -> None:
            self._directory = directory
            self._may_ask = may_ask
            self._told_lifetime_s: float | None = None
            super().__init__(**arguments)

        @property
        def lifetime_s(self) -> float | None:
            """For how many seconds its token was good when it came, None where nothing tells."""
            return self._told_lifetime_s or jwt_lifetime_s(self.auth_token)

        def _get_auth_tokens(self) -> tuple[str | None, str, str, str]:
            """Say where the token lies; an OIDC token may lie where the operator's rucio.cfg says."""
            named, *paths = super()._get_auth_tokens()
            if named and self.auth_type == "oidc":
                return (named, *paths)
            return None, f"{self._directory}/expires", f"{self._directory}/token", str(self._directory)

        def _send_request(self, url: str, *arguments: Any, **options: Any) -> Any:
            """Send; an answer that comes from before Rucio says so, also when it was a token that was wanted.

            rucio-clients takes every error for a refusal of the credentials when it gets a token, and asks at
            the terminal for an OIDC token whenever one was refused.
            """
            gets_token = bool(options.get("get_token"))
            if gets_token and url.endswith("/auth/oidc") and not self._may_ask:
                raise CannotAuthenticate("its OIDC token has expired, or is refused, and there is no new one")
            answer = super()._send_request(url, *arguments, **options)
            if answer.status_code in UNAVAILABLE or (gets_token and answer.status_code >= 500):
                _, message = self._get_exception(answer.headers, answer.status_code, answer.content)
                raise ServiceUnavailable(f"HTTP {answer.status_code}: {message}")
            if gets_token:
                self._told_lifetime_s = token_lifetime_s(answer.headers) or self._told_lifetime_s
            return answer

    return PrivateClient
