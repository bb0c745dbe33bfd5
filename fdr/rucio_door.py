"""The one door to Rucio: rucio-clients on bounded threads, its errors translated."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import requests

from fdr import __version__
from fdr.connection import Connection
from fdr.errors import LakeError, Refused, Unclear
from fdr.pace import Spacing

T = TypeVar("T")

THREADS = 8
CALL_TIMEOUT_S = 60
# Replies that come before the request has been sent: nothing happened.
SURELY_NOT_SENT = (requests.exceptions.ConnectTimeout, requests.exceptions.SSLError)


class RucioDoor:
    """Calls Rucio as an account.

    Calls run on ``THREADS`` threads at most; each thread has a client of its own for each account, since a
    client is one HTTP session. Tokens lie in a private directory for the life of the process. The client
    itself sends a call up to three times when the connection breaks or the server answers 502, 503 or 504.
    """

    def __init__(self, connection: Connection, requests_per_second: float | None = None) -> None:
        """Take where Rucio is and how many requests a second it may be sent; nothing is sent yet."""
        self.connection = connection
        self.requests = 0
        self._spacing = Spacing(requests_per_second)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="rucio")
        self._local = threading.local()
        self._tokens = tempfile.TemporaryDirectory(prefix="fdr-tokens-")
        os.environ["RUCIO_CONFIG"] = str(connection.rucio_cfg)

    def close(self) -> None:
        """Give back threads and tokens; calls in flight are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._tokens.cleanup()

    async def call(self, account: str, ask: Callable[[Any], T]) -> T:
        """Return what ``ask`` returns for a client of the account; raises only Refused or Unclear."""
        await self._spacing.turn()
        self.requests += 1
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, account, ask)

    def _ask(self, account: str, ask: Callable[[Any], T]) -> T:
        from rucio.common.exception import RucioException

        try:
            return ask(self._client(account))
        except RucioException as error:
            raise _translate(account, error) from error
        except SURELY_NOT_SENT as error:
            raise Refused("connection", f"Rucio cannot be reached: {_first_line(error)}") from error
        except requests.exceptions.Timeout as error:
            raise Unclear("timeout", f"Rucio did not answer within {CALL_TIMEOUT_S} s") from error
        except (requests.exceptions.RequestException, OSError, ValueError, KeyError) as error:
            raise Unclear("bad-answer", f"Rucio's answer was broken: {_first_line(error)}") from error

    def _client(self, account: str) -> Any:
        clients = self._local.__dict__.setdefault("clients", {})
        if account not in clients:
            clients[account] = self._new_client(account)
        return clients[account]

    def _new_client(self, account: str) -> Any:
        from rucio.client.client import Client

        tokens = self._tokens.name

        class PrivateClient(Client):  # type: ignore[misc]  # rucio-clients has no types
            """A client whose tokens no other process and no other lake shares."""

            TOKEN_PATH_PREFIX = f"{tokens}/"

        quiet = logging.getLogger("fdr.rucio")
        quiet.setLevel(logging.CRITICAL)
        identity = self.connection.identities.get(account, self.connection.identity)
        return PrivateClient(
            rucio_host=self.connection.rucio_host,
            auth_host=self.connection.auth_host,
            account=account,
            ca_cert=self.connection.ca_cert,
            auth_type=identity.auth_type,
            creds=dict(identity.credentials),
            timeout=CALL_TIMEOUT_S,
            user_agent=f"fdr/{__version__}",
            logger=quiet,
        )


# What leaves it open whether the server acted: it, or something before it, broke off.
UNSURE = {"database", "service-unavailable", "resource-temporary-unavailable"}
UNAUTHENTICATED = {"cannot-authenticate", "missing-client-parameter", "account-not-found"}


def _translate(account: str, error: Exception) -> LakeError:
    """Turn a Rucio exception into ours; its class, in kebab case, is the countable reason."""
    from rucio.common.exception import ServerConnectionException

    name = re.sub(r"Exception$", "", type(error).__name__)
    reason = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower() or "rucio"
    message = _first_line(error)
    if isinstance(error, ServerConnectionException):
        return Unclear("server-connection", "Rucio cannot be reached: the connection was refused or broke")
    if reason in UNAUTHENTICATED:
        return Refused("unauthenticated", f"Rucio does not let {account} in: {message}")
    if reason in UNSURE or reason == "rucio":
        return Unclear(reason, f"Rucio: {message}")
    return Refused(reason, f"Rucio refused, as {account}: {message}")


def _first_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:300]
