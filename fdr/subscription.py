"""One subscription to a topic of a STOMP broker; each of its steps ends in time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

import stomp

from fdr.connection import Broker
from fdr.errors import LakeUnusable

HEARTBEAT_MS = 20_000
SENT_EARLY = 0.5  # ActiveMQ breaks with whoever is a moment late, and stomp.py sends when the time is over
ANSWER_WITHIN_S = 10


class Subscription(stomp.ConnectionListener):  # type: ignore[misc]  # stomp.py has no types
    """Gives every message's body to ``take``; ``lost`` is called, once, when the connection breaks.

    A broker that falls silent is given up by its heartbeats. Both are called on threads of stomp.py's.
    """

    def __init__(self, broker: Broker, take: Callable[[str], None], lost: Callable[[], None]) -> None:
        """Take the broker and whom to tell; nothing is sent yet."""
        self._broker = broker
        self._take = take
        self._lost = lost
        self._answers: SimpleQueue[str] = SimpleQueue()
        self._is_open = False
        logging.getLogger("stomp.py").setLevel(logging.CRITICAL)
        self._connection = stomp.StompConnection12(
            host_and_ports=[(broker.host, broker.port)],
            vhost=broker.virtual_host,
            heartbeats=(HEARTBEAT_MS, HEARTBEAT_MS),
            reconnect_attempts_max=1,
            timeout=ANSWER_WITHIN_S,
        )
        if broker.use_tls:
            self._connection.set_ssl(for_hosts=[(broker.host, broker.port)])
        self._connection.set_listener("fdr", self)

    def open(self) -> None:
        """Connect and subscribe; raises LakeUnusable when the broker does not answer in time, or refuses."""
        broker = self._broker
        try:
            # not stomp.py's own wait for the answer, which has no end
            self._connection.connect(broker.user, broker.password)
            self._expect("connected")
            self._connection.subscribe(broker.topic, id="fdr", ack="auto", headers={"receipt": "fdr"})
            self._expect("receipt")
            self._is_open = True
            if not self._connection.is_connected():  # it broke just before anybody would have been told
                raise stomp.exception.ConnectionClosedException
        except (stomp.exception.StompException, OSError) as error:
            self._drop()
            raise LakeUnusable(
                f"the event broker {broker.host}:{broker.port} cannot be used: {type(error).__name__}"
            ) from error
        except LakeUnusable:
            self._drop()
            raise

    def close(self) -> None:
        """Leave the broker."""
        self._is_open = False
        with suppress(stomp.exception.StompException, OSError):
            self._connection.disconnect()
        self._drop()

    def _drop(self) -> None:
        with suppress(stomp.exception.StompException, OSError):
            self._connection.transport.disconnect_socket()

    def _expect(self, wanted: str) -> None:
        where = f"the event broker {self._broker.host}:{self._broker.port}"
        try:
            answer = self._answers.get(timeout=ANSWER_WITHIN_S)
        except Empty as error:
            raise LakeUnusable(f"{where} does not answer") from error
        if answer != wanted:
            raise LakeUnusable(f"{where} cannot be used: it refused, or broke off ({answer})")

    # --- called by stomp.py -----------------------------------------------------------------------

    def on_connected(self, frame: Any) -> None:
        """Know that the broker let us in, and promise it more heartbeats than it wants.

        stomp.py calls listeners in the order of their names, its own for heartbeats ("protocol-listener")
        after this one ("fdr"): it reckons with what it finds here.
        """
        sent_ms, heard_ms = self._connection.heartbeats
        self._connection.heartbeats = int(sent_ms * SENT_EARLY), heard_ms
        theirs, _, wanted = frame.headers.get("heart-beat", "0,0").partition(",")
        frame.headers["heart-beat"] = f"{theirs},{int(int(wanted) * SENT_EARLY)}"
        self._answers.put("connected")

    def on_receipt(self, frame: Any) -> None:
        """Know that the broker will send what comes from now on."""
        self._answers.put("receipt")

    def on_error(self, frame: Any) -> None:
        """Know that the broker refused."""
        self._answers.put("error")

    def on_message(self, frame: Any) -> None:
        """Pass one message on."""
        self._take(frame.body)

    def on_disconnected(self) -> None:
        """Say that what is sent from now on is missed."""
        self._answers.put("disconnected")
        if self._is_open:
            self._is_open = False
            self._lost()
