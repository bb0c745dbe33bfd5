"""Listen to Rucio's transfer events on a STOMP broker, into the journal."""

from __future__ import annotations

import json
import logging
import threading
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import stomp

from fdr.clock import Clock
from fdr.connection import Broker
from fdr.errors import LakeUnusable
from fdr.journal.writer import Journal, JournalFailed
from fdr.model import Did, Note, TransferSeen

HEARTBEAT_MS = 20_000
ANSWER_WITHIN_S = 10
# Rucio's request states that end a request; done is the good one.
FAILED_EVENTS = {
    "transfer-failed",
    "transfer-lost",
    "transfer-submission_failed",
    "transfer-no_sources",
    "transfer-only_tape_sources",
    "transfer-mismatch_scheme",
}


class TransferEvents(stomp.ConnectionListener):  # type: ignore[misc]  # stomp.py has no types
    """A subscription to one run's transfer events, kept until the context ends.

    Events are recognised by the run's id in the file's name. Each time the broker's connection breaks the
    journal gets a note: what Rucio sends until it is there again is missed, as a topic keeps nothing.
    """

    def __init__(self, broker: Broker, run: str, clock: Clock) -> None:
        """Take the broker and the run; events before ``tell`` are not kept."""
        self._broker = broker
        self._run = run
        self._clock = clock
        self._journal: Journal | None = None
        self._leaving = threading.Event()
        self._is_subscribed = threading.Event()
        logging.getLogger("stomp.py").setLevel(logging.CRITICAL)
        self._connection = stomp.StompConnection12(
            host_and_ports=[(broker.host, broker.port)],
            vhost=broker.virtual_host,
            heartbeats=(HEARTBEAT_MS, HEARTBEAT_MS),
            reconnect_attempts_max=3,
            timeout=ANSWER_WITHIN_S,
        )
        if broker.use_tls:
            self._connection.set_ssl(for_hosts=[(broker.host, broker.port)])
        self._connection.set_listener("fdr", self)

    def __enter__(self) -> TransferEvents:
        """Connect and subscribe; raises LakeUnusable when the broker does not answer or refuse."""
        self._connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the broker."""
        self._leaving.set()
        if self._connection.is_connected():
            self._connection.disconnect()

    def tell(self, journal: Journal) -> None:
        """Let the journal have the events from now on."""
        self._journal = journal

    def _record(self, event: TransferSeen | Note) -> None:
        """Record, on a thread of stomp.py's; a journal that has failed tells the run by itself."""
        if self._journal is not None:
            with suppress(JournalFailed):
                self._journal.record(event)

    def on_receipt(self, frame: Any) -> None:
        """Know that the broker will send what comes from now on."""
        self._is_subscribed.set()

    def on_message(self, frame: Any) -> None:
        """Take one event."""
        try:
            seen = transfer_seen(json.loads(frame.body), self._clock.now())
        except (ValueError, KeyError, TypeError):
            return  # not one of Rucio's events: other programs may write to the topic
        if seen is not None and self._run in seen.did.name:
            self._record(seen)

    def on_disconnected(self) -> None:
        """Say that events are missed, then come back."""
        if self._leaving.is_set():
            return
        self._record(Note(self._clock.now(), "events-lost", "the connection to the event broker broke"))
        threading.Thread(target=self._reconnect, name="stomp-reconnect", daemon=True).start()

    def _reconnect(self) -> None:
        while not self._leaving.wait(2.0):
            try:
                self._connect()
            except LakeUnusable:
                continue
            return

    def _connect(self) -> None:
        broker = self._broker
        try:
            self._connection.connect(broker.user, broker.password, wait=True)
            self._is_subscribed.clear()
            self._connection.subscribe(broker.topic, id="fdr", ack="auto", headers={"receipt": "fdr"})
        except (stomp.exception.StompException, OSError) as error:
            raise LakeUnusable(
                f"the event broker {broker.host}:{broker.port} cannot be used: {type(error).__name__}"
            ) from error
        if not self._is_subscribed.wait(ANSWER_WITHIN_S):
            raise LakeUnusable(f"the event broker {broker.host}:{broker.port} does not answer")


def transfer_seen(event: dict[str, Any], at: float) -> TransferSeen | None:
    """Return what a transfer event of Rucio says, None for events that end no transfer.

    ``at`` is when it was received, in Unix seconds. Raises KeyError, ValueError or TypeError on what is no
    such event.
    """
    kind = event["event_type"]
    if kind != "transfer-done" and kind not in FAILED_EVENTS:
        return None
    told = event["payload"]
    return TransferSeen(
        at=at,
        done=kind == "transfer-done",
        request_id=str(told["request-id"]),
        did=Did(told["scope"], told["name"]),
        src_rse=str(told["src-rse"] or ""),
        dst_rse=str(told["dst-rse"] or ""),
        size_bytes=int(told["bytes"] or 0),
        activity=str(told["activity"] or ""),
        protocol=str(told["protocol"] or ""),
        created_at=_unix(told["created_at"]),
        submitted_at=_unix(told["submitted_at"]),
        started_at=_unix(told["started_at"]),
        transferred_at=_unix(told["transferred_at"]),
        reason="" if kind == "transfer-done" else str(told["reason"] or kind),
    )


def _unix(text: str | None) -> float | None:
    """Return Unix seconds for Rucio's times, which are UTC without saying so."""
    if not text:
        return None
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
