"""A Rucio server of the tests' own on the lake's database, and a relay before it: both can misbehave."""

from __future__ import annotations

import configparser
import http.client
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from fdr.lake.home import LakeHome
from fdr.lake.install import lake_python

# Rucio has no option for the lifetime of its tokens: it is the default of a column, an hour.
PROGRAM = """
import sys
from datetime import datetime, timedelta
from rucio.db.sqla import models
lifetime = timedelta(seconds=float(sys.argv[1]))
models.Token.__table__.c.expired_at.default.arg = lambda _: datetime.utcnow() + lifetime
from fdr.lake.keeper import programs
programs.run("rucio-server")
"""
HOUR_S = 3600.0
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


class SecondServer:
    """The same Rucio server that the lake has, under gunicorn, with tokens of another lifetime."""

    def __init__(self, lake: LakeHome, token_lifetime_s: float = HOUR_S) -> None:
        self._lake = lake
        self._token_lifetime_s = token_lifetime_s
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it answers."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(self._lake.run / "lib"),
            "RUCIO_CONFIG": str(self._lake.server_cfg),
            "FDR_BIND": f"127.0.0.1:{self.port}",
            "FDR_RUN": str(self._lake.run),
        }
        self._process = subprocess.Popen(
            [str(lake_python()), "-c", PROGRAM, str(self._token_lifetime_s)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None, "the second server ended"
            assert time.monotonic() < deadline, "the second server does not answer"
            time.sleep(0.1)

    def kill(self) -> None:
        """End it and its workers in the middle of whatever they do."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait(10)
            self._process = None

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Let it do nothing: connections are taken, and nothing is answered."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/ping")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


class Relay:
    """Passes requests on and counts the answers by status; ``mood`` says what it does instead.

    ``unavailable`` answers 503 without asking; ``deaf`` asks, and breaks off instead of passing answers on.
    """

    def __init__(self, port: int) -> None:
        self.mood = ""
        self.statuses: Counter[int] = Counter()
        self.logins: Counter[str] = Counter()
        self.spoilt = 0
        self._counting = threading.Lock()
        self._server = _QuietServer(("127.0.0.1", 0), self._handler(port))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def spoil(self, mood: str, for_s: float) -> int:
        """Be in a mood for some seconds, and return how many requests met it."""
        before = self.spoilt
        self.mood = mood
        time.sleep(for_s)
        self.mood = ""
        return self.spoilt - before

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def count(self, status: int, path: str, account: str) -> None:
        with self._counting:
            self.statuses[status] += 1
            if path == "/auth/userpass":
                self.logins[account] += 1

    def count_spoilt(self) -> None:
        with self._counting:
            self.spoilt += 1

    def _handler(self, port: int) -> type[BaseHTTPRequestHandler]:
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                mood = relay.mood
                if mood == "unavailable":
                    relay.count_spoilt()
                    self._reply(503, {}, b"<html>busy</html>")
                    return
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=100)
                try:
                    headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
                    connection.request(self.command, self.path, body, headers)
                    answer = connection.getresponse()
                    content = answer.read()
                except (OSError, http.client.HTTPException):
                    self.close_connection = True
                    return
                finally:
                    connection.close()
                if mood == "deaf":
                    relay.count_spoilt()
                    self.close_connection = True
                    return
                relay.count(answer.status, self.path, self.headers.get("X-Rucio-Account", ""))
                self._reply(answer.status, dict(answer.getheaders()), content)

            do_GET = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815  # as the library calls them

            def _reply(self, status: int, headers: dict[str, str], content: bytes) -> None:
                with suppress(OSError):
                    self.send_response_only(status)
                    for key, value in headers.items():
                        if key.lower() not in HOP_BY_HOP:
                            self.send_header(key, value)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        return Handler


class _QuietServer(ThreadingHTTPServer):
    """A server for clients that break off, and that come all at once."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing."""


def cfg_for(lake: LakeHome, url: str, path: Path) -> Path:
    """Write a rucio.cfg that reaches the lake by another server."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(lake.client_cfg)
    parser.remove_option("fdr", "embedded_home")
    parser["client"].update({"rucio_host": url, "auth_host": url})
    with path.open("w") as file:
        parser.write(file)
    return path
