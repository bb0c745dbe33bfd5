"""An FTS, asked over its REST interface; its errors are fdr's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from fdr import __version__
from fdr.errors import LakeError, Refused, Unclear
from fdr.probe.delegation import delegate
from fdr.probe.jobs import FILE_FIELDS, Identity, JobState, identity_from, states_from
from fdr.probe.login import Login
from fdr.storage.gfal_errors import plain

THREADS = 8
CONNECT_WITHIN_S = 10.0
ASKED_AT_ONCE = 50  # jobs, so that a URL stays short
REASONS = {401: "unauthenticated", 403: "unauthenticated", 404: "not-found", 419: "no-delegation"}
SURELY_NOT_SENT = (requests.exceptions.ConnectTimeout, requests.exceptions.SSLError)


class Fts:
    """One FTS. Raises only LakeError: Refused where FTS certainly did nothing, Unclear where it may have.

    A request ends when the server was silent for ``timeout_s``; ``THREADS`` are sent at once.
    """

    def __init__(self, url: str, login: Login, timeout_s: float) -> None:
        """Take where it is and how to authenticate; nothing is sent yet."""
        self.url = url
        self._login = login
        self._timeout_s = timeout_s
        self._local = threading.local()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="fts")

    def close(self) -> None:
        """Give back threads; requests in flight are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def who(self) -> Identity:
        """Return whom it takes us for, with a proxy delegated where it wants one to copy with."""
        identity = identity_from(await self._call("GET", "/whoami"))
        if self._login.certificate and self.url.startswith("https://") and identity.delegation:
            await self._on_thread(lambda: delegate(self._text, identity.delegation, self._login))
        return identity

    async def submit(self, body: dict[str, Any]) -> str:
        """Submit a job and return its id."""
        answer = await self._call("POST", "/jobs", body)
        if not isinstance(answer, dict) or not answer.get("job_id"):
            raise Unclear("bad-answer", f"{self.url}: what it answered to a job names no id")
        return str(answer["job_id"])

    async def states(self, jobs: Sequence[str]) -> dict[str, JobState]:
        """Return how jobs stand, by id, those included that it does not know."""
        found: dict[str, JobState] = {}
        for start in range(0, len(jobs), ASKED_AT_ONCE):
            ids = ",".join(jobs[start : start + ASKED_AT_ONCE])
            found |= states_from(await self._call("GET", f"/jobs/{ids}?files={FILE_FIELDS}", good={207, 404}))
        return found

    async def cancel(self, job: str) -> None:
        """Cancel a job; one that is over, or that it does not know, is as good as cancelled."""
        await self._call("DELETE", f"/jobs/{job}", good={404})

    async def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        good: frozenset[int] | set[int] = frozenset(),
    ) -> Any:
        def ask() -> Any:
            answer = self._send(method, path, good, json=body)
            try:
                return answer.json()
            except ValueError as error:
                raise Unclear("bad-answer", f"{self.url}: what it answered is not JSON") from error

        return await self._on_thread(ask)

    async def _on_thread(self, deed: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, deed)

    def _text(self, method: str, path: str, content: str | None = None) -> str:
        return self._send(method, path, frozenset(), data=content).text

    def _send(
        self, method: str, path: str, good: frozenset[int] | set[int], **content: Any
    ) -> requests.Response:
        try:
            answer = self._session().request(
                method, self.url + path, timeout=(CONNECT_WITHIN_S, self._timeout_s), **content
            )
        except SURELY_NOT_SENT as error:
            raise Refused("connection", f"{self.url}: {self._plain(error)}") from error
        except requests.exceptions.Timeout as error:
            raise Unclear("timeout", f"{self.url}: no answer within {self._timeout_s:.3g} s") from error
        except requests.exceptions.ConnectionError as error:
            if "Failed to establish a new connection" in str(error):
                message = f"{self.url}: cannot be reached: {_errno_text(error)}"
                raise Refused("connection", message) from error
            raise Unclear("connection-broken", f"{self.url}: {self._plain(error)}") from error
        except (requests.exceptions.RequestException, OSError, ValueError) as error:
            raise Refused("bad-request", f"{self.url}: {self._plain(error)}") from error
        if answer.ok or answer.status_code in good:
            return answer
        raise self._refusal(answer)

    def _refusal(self, answer: requests.Response) -> LakeError:
        try:
            told = str(answer.json()["message"])
        except (ValueError, KeyError, TypeError):
            told = answer.reason or ""
        message = f"{self.url}: HTTP {answer.status_code}: {self._plain(told)}"
        reason = REASONS.get(answer.status_code, f"http-{answer.status_code}")
        if reason == "unauthenticated" and not (self._login.token or self._login.certificate):
            message += " (it was shown no proxy, certificate or token: see docs/probe.md)"
        return Unclear(reason, message) if answer.status_code >= 500 else Refused(reason, message)

    def _session(self) -> requests.Session:
        """Return this thread's own session."""
        if not hasattr(self._local, "session"):
            session = requests.Session()
            session.headers["User-Agent"] = f"fdr/{__version__}"
            session.headers["Accept"] = "application/json"
            session.verify = self._login.authorities
            if self._login.token:
                session.headers["Authorization"] = f"Bearer {self._login.token}"
            elif self._login.certificate:
                session.cert = (self._login.certificate, self._login.key)
            self._local.session = session
        session_of_thread: requests.Session = self._local.session
        return session_of_thread

    def _plain(self, error: object) -> str:
        return plain(str(error), self._login.token)


def _errno_text(error: Exception) -> str:
    """Return what the system said, without the address that Python prints of objects."""
    return str(error).rpartition("Failed to establish a new connection:")[2].strip(" ')\"") or "no connection"
