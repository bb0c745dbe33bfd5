"""The process that copies: one file at a time, by order of the service.

A process of its own, because some hangs inside gfal2 (a TLS handshake that is never answered) end with
neither a time-out nor a cancel: the service kills the process, and only that one transfer is lost. It
reads orders as lines of JSON from its standard input, writes what happens to its standard output, and
ends with the service.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import gfal2

from fdr.lake.fts.config import Config, read_config
from fdr.lake.fts.order import Order, Report
from fdr.lake.fts.transfer import carry_out


class Contexts:
    """The gfal2 context of this process, with the bearer token set for each storage it meets."""

    def __init__(self, config: Config) -> None:
        """Prepare the context."""
        self._token = config.bearer_token
        self._known: set[str] = set()
        self.context: Any = gfal2.creat_context()
        self.context.set_opt_boolean("HTTP PLUGIN", "RETRIEVE_BEARER_TOKEN", False)
        self.context.set_opt_integer("HTTP PLUGIN", "OPERATION_TIMEOUT", config.operation_timeout_s)
        self.context.set_opt_integer("CORE", "NAMESPACE_TIMEOUT", config.operation_timeout_s)
        self.context.set_opt_integer("CORE", "CHECKSUM_TIMEOUT", config.operation_timeout_s)
        if config.copy_mode == "streamed":
            self.context.set_opt_string("HTTP PLUGIN", "DEFAULT_COPY_MODE", "streamed")

    def for_urls(self, *urls: str) -> Any:
        """Return the context, ready for these URLs."""
        for url in urls:
            parts = urlsplit(url)
            place = f"{parts.scheme}://{parts.netloc}/"
            if self._token is not None and parts.scheme == "davs" and place not in self._known:
                self._known.add(place)
                self.context.cred_set(place, self.context.cred_new("BEARER", self._token))
        return self.context


def work(config: Config, orders: BinaryIO, reports: BinaryIO) -> None:
    """Carry out orders until the other side closes; a line ``cancel`` ends the copy in hand."""
    contexts = Contexts(config)
    in_hand: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def tell(report: Report) -> None:
        reports.write(report.to_line())
        reports.flush()

    def copy_all() -> None:
        try:
            while True:
                order = Order(**in_hand.get())
                context = contexts.for_urls(order.source, order.destination)
                tell(Report(ending=carry_out(context, order, tell)))
        finally:
            traceback.print_exc()
            os._exit(1)  # a defect: the service sees that its worker died, and does not wait

    threading.Thread(target=copy_all, daemon=True).start()
    for line in orders:
        message = json.loads(line)
        if message == "cancel":
            contexts.context.cancel()
        else:
            in_hand.put(message)


def main() -> None:
    """Work by the configuration file named on the command line; stray prints go to standard error."""
    config = read_config(Path(sys.argv[1]))
    reports = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        work(config, sys.stdin.buffer, reports)
    finally:
        os._exit(0)  # gfal2's threads do not always end


if __name__ == "__main__":
    main()
