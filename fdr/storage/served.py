"""Payloads too large for memory, served to gfal2 over http on loopback while they are copied."""

from __future__ import annotations

import secrets
import threading
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fdr.payload import Payload


class PayloadServer:
    """Gives each payload a URL for as long as it is needed; holds one block of memory, whatever the sizes.

    Its URLs cannot be guessed, and it listens on loopback only. The server starts with the first payload.
    """

    def __init__(self) -> None:
        """Prepare; nothing listens yet."""
        self._payloads: dict[str, Payload] = {}
        self._server: ThreadingHTTPServer | None = None
        self._starting = threading.Lock()

    @contextmanager
    def offer(self, payload: Payload) -> Iterator[str]:
        """Serve a payload until the block ends, and yield its URL."""
        path = f"/{secrets.token_urlsafe(16)}"
        port = self._started().server_address[1]
        self._payloads[path] = payload
        try:
            yield f"http://127.0.0.1:{port}{path}"
        finally:
            del self._payloads[path]

    def close(self) -> None:
        """Stop listening."""
        with self._starting:
            if self._server is not None:
                self._server.shutdown()
                self._server.server_close()
                self._server = None

    def _started(self) -> ThreadingHTTPServer:
        with self._starting:
            if self._server is None:
                self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
                self._server.daemon_threads = True
                threading.Thread(target=self._server.serve_forever, name="payloads", daemon=True).start()
            return self._server

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        payloads = self._payloads

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self._begin()

            def do_GET(self) -> None:
                payload = self._begin()
                if payload is None:
                    return
                with suppress(ConnectionError):  # the copy was given up; gfal2 says why
                    for chunk in payload.chunks():
                        self.wfile.write(chunk)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing: the copy's own outcome is what counts."""

            def _begin(self) -> Payload | None:
                payload = payloads.get(self.path)
                if payload is None:
                    self.send_error(HTTPStatus.NOT_FOUND)
                    return None
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Length", str(payload.size_bytes))
                self.end_headers()
                return payload

        return Handler
