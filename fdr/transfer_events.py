"""Listen to Rucio's transfer events on a STOMP broker, into the journal."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from fdr.clock import Clock
from fdr.connection import Broker
from fdr.errors import LakeUnusable
from fdr.journal.writer import Journal, JournalFailed
from fdr.model import Did, Note, TransferSeen
from fdr.subscription import Subscription

TRY_AGAIN_S = 2.0
# Rucio's request states that end a request; done is the good one.
FAILED_EVENTS = {
    "transfer-failed",
    "transfer-lost",
    "transfer-submission_failed",
    "transfer-no_sources",
    "transfer-only_tape_sources",
    "transfer-mismatch_scheme",
}


class TransferEvents:
    """A subscription to one run's transfer events, kept until the context ends.

    Events are recognised by the run's id in the file's name. Each time the broker's connection breaks the
    journal gets a note: what Rucio sends until it is there again is missed, as a topic keeps nothing. The
    broker is then tried every TRY_AGAIN_S, for as long as the run lasts.
    """

    def __init__(self, broker: Broker, run: str, clock: Clock) -> None:
        """Take the broker and the run; events before ``tell`` are not kept."""
        self._broker = broker
        self._run = run
        self._clock = clock
        self._journal: Journal | None = None
        self._subscription: Subscription | None = None
        self._is_lost = threading.Event()
        self._is_leaving = threading.Event()

    def __enter__(self) -> TransferEvents:
        """Connect and subscribe; raises LakeUnusable when the broker does not answer or refuse."""
        self._subscribe()
        threading.Thread(target=self._keep, name="events", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the broker."""
        self._is_leaving.set()
        self._is_lost.set()
        if self._subscription is not None:
            self._subscription.close()

    def tell(self, journal: Journal) -> None:
        """Let the journal have the events from now on."""
        self._journal = journal

    def _subscribe(self) -> None:
        self._is_lost.clear()
        subscription = Subscription(self._broker, self._take, self._lose)
        subscription.open()
        if self._subscription is not None:
            self._subscription.close()
        self._subscription = subscription

    def _keep(self) -> None:
        """Come back whenever the connection is lost: what a thread of its own does."""
        self._is_lost.wait()
        while not self._is_leaving.wait(TRY_AGAIN_S):
            with suppress(LakeUnusable):
                self._subscribe()
                self._is_lost.wait()

    def _lose(self) -> None:
        self._record(Note(self._clock.now(), "events-lost", "the connection to the event broker broke"))
        self._is_lost.set()

    def _take(self, body: str) -> None:
        try:
            seen = transfer_seen(json.loads(body), self._clock.now())
        except (ValueError, KeyError, TypeError):
            return  # not one of Rucio's events: other programs may write to the topic
        if seen is not None and self._run in seen.did.name:
            self._record(seen)

    def _record(self, event: TransferSeen | Note) -> None:
        """Record, on a thread of stomp.py's; a journal that has failed tells the run by itself."""
        if self._journal is not None:
            with suppress(JournalFailed):
                self._journal.record(event)


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
