"""The one door to Rucio: rucio-clients on bounded threads, its errors translated."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import requests

from fdr.connection import Connection
from fdr.errors import LakeError, Refused, Unclear
from fdr.pace import Spacing
from fdr.rucio_client import new_client
from fdr.rucio_tokens import Tokens
from fdr.token_directory import TokenDirectory

T = TypeVar("T")

THREADS = 8
CALL_TIMEOUT_S = 60.0  # how long the server may be silent
# Replies that come before the request has been sent: nothing happened.
SURELY_NOT_SENT = (requests.exceptions.ConnectTimeout, requests.exceptions.SSLError)


class RucioDoor:
    """Calls Rucio as an account.

    Calls run on ``THREADS`` threads at most; each thread has a client of its own for each account, since a
    client is one HTTP session. Tokens lie in a private directory for the life of the process, are shared by
    the threads and renewed before they expire. The client itself sends a call up to three times when the
    connection breaks or the server answers 502, 503 or 504; requests for tokens are not counted.
    """

    def __init__(
        self,
        connection: Connection,
        requests_per_second: float | None = None,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> None:
        """Take where Rucio is and how many requests a second it may be sent; nothing is sent yet.

        A call ends when the server was silent for ``timeout_s``.
        """
        self.connection = connection
        self._timeout_s = timeout_s
        self.requests = 0
        self._spacing = Spacing(requests_per_second)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="rucio")
        self._local = threading.local()
        self._logged_in: set[str] = set()
        self._directory = TokenDirectory()
        self._tokens = Tokens(self._directory.path, self._log_in, self._renews_in_place)
        os.environ["RUCIO_CONFIG"] = str(connection.rucio_cfg)

    def close(self) -> None:
        """Give back threads and tokens; calls in flight are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._directory.close()

    async def call(self, account: str, ask: Callable[[Any], T]) -> T:
        """Return what ``ask`` returns for a client of the account; raises only Refused or Unclear."""
        await self._spacing.turn()
        self.requests += 1
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, account, ask)

    def _ask(self, account: str, ask: Callable[[Any], T]) -> T:
        with self._translated(account):
            return ask(self._client(account))

    @contextmanager
    def _translated(self, account: str) -> Iterator[None]:
        """Let only Refused and Unclear out."""
        from rucio.common.exception import RucioException

        try:
            yield
        except LakeError:
            raise
        except RucioException as error:
            raise _translate(account, error) from error
        except SURELY_NOT_SENT as error:
            raise Refused("connection", f"Rucio cannot be reached: {_first_line(error)}") from error
        except requests.exceptions.Timeout as error:
            raise Unclear("timeout", f"Rucio did not answer within {self._timeout_s:.3g} s") from error
        except (requests.exceptions.RequestException, OSError) as error:
            raise Unclear("connection-broken", f"Rucio's answer broke off: {_first_line(error)}") from error
        except (ValueError, KeyError) as error:
            raise Unclear("bad-answer", f"Rucio's answer was broken: {_first_line(error)}") from error

    def _client(self, account: str) -> Any:
        """Return this thread's client of an account; a new one when the account's token was renewed."""
        token = self._tokens.of(account)
        clients = self._local.__dict__.setdefault("clients", {})
        if account not in clients or clients[account][0] is not token:
            clients[account] = token, self._new_client(account, token.directory, may_ask=False)
        return clients[account][1]

    def _log_in(self, account: str, directory: Path) -> float | None:
        """Get a token into a directory and return how many seconds it is good, None where nothing tells.

        A person is asked for each account once at most. Whatever failed, the call itself was not sent.
        """
        try:
            with self._translated(account):
                client = self._new_client(account, directory, may_ask=account not in self._logged_in)
        except Unclear as error:
            raise Refused(error.reason, str(error)) from error
        self._logged_in.add(account)
        lifetime_s: float | None = client.lifetime_s
        return lifetime_s

    def _new_client(self, account: str, directory: Path, *, may_ask: bool) -> Any:
        return new_client(self.connection, account, directory, self._timeout_s, may_ask=may_ask)

    def _renews_in_place(self, account: str) -> bool:
        """Tell whether a new client renews the token that the last one left: those of OIDC."""
        return self.connection.identity_of(account).auth_type == "oidc"


# What leaves it open whether the server acted: it, or something before it, broke off.
UNSURE = {"database", "service-unavailable", "resource-temporary-unavailable"}
# Rucio passes on what its database driver said when it knows no better name for it.
DATABASE_GONE = re.compile(r"OperationalError|InterfaceError|QueuePool|DisconnectionError")
# Two transactions did the same at once: a call and its repeat, when a server goes on after it hung.
DATABASE_CONFLICT = re.compile(
    r"IntegrityError|UniqueViolation|duplicate key|Duplicate entry|ORA-00001|[Dd]eadlock|SerializationFailure"
)
UNAUTHENTICATED = {"cannot-authenticate", "missing-client-parameter", "account-not-found"}


def _translate(account: str, error: Exception) -> LakeError:
    """Turn a Rucio exception into ours; its class, in kebab case, is the countable reason."""
    from rucio.common.exception import ServerConnectionException

    name = re.sub(r"Exception$", "", type(error).__name__)
    reason = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower() or "rucio"
    message = _first_line(error)
    if reason == "rucio" and DATABASE_GONE.search(message):
        reason = "database"
    elif reason == "rucio" and DATABASE_CONFLICT.search(message):
        reason = "conflict"
    if isinstance(error, ServerConnectionException):
        return Unclear("server-connection", "Rucio cannot be reached: the connection was refused or broke")
    if reason in UNAUTHENTICATED:
        return Refused("unauthenticated", f"Rucio does not let {account} in: {message}")
    if reason in UNSURE or reason in {"rucio", "conflict"}:
        return Unclear(reason, f"Rucio: {message}")
    return Refused(reason, f"Rucio refused, as {account}: {message}")


def _first_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:300]
