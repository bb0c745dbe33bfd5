"""A broker that hangs, refuses or is restarted holds up no run."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

import fdr.subscription
import fdr.transfer_events
from fdr.clock import SteadyClock
from fdr.connection import Broker
from fdr.errors import LakeUnusable
from fdr.model import Event, Note, TransferSeen
from fdr.transfer_events import TransferEvents
from tests.test_transfer_events import PAYLOAD

RUN = "20261122T203015-7f3a"
EVENT = json.dumps({"event_type": "transfer-done", "payload": PAYLOAD})


class FakeBroker:
    """As much of a STOMP broker as a subscriber needs; it can hang, refuse, and be restarted."""

    def __init__(self) -> None:
        self.behaviour = "serve"
        self.hears_every_ms = 0  # with whom it does not hear of for so long it breaks; 0: never
        self.connections: list[socket.socket] = []  # the subscribed ones
        self._accepted: list[socket.socket] = []
        self.port = 0
        self.start()

    def start(self) -> None:
        self._listening = socket.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.bind(("127.0.0.1", self.port))
        self.port = self._listening.getsockname()[1]
        self._listening.listen()
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def stop(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.connections.clear()
        for connection in self._accepted:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def send(self, body: str) -> None:
        for connection in self.connections:
            head = f"MESSAGE\nsubscription:fdr\nmessage-id:1\ndestination:t\ncontent-length:{len(body)}\n\n"
            connection.sendall(head.encode() + body.encode() + b"\0")

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                self._accepted.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        buffer = b""
        with connection, suppress(OSError):
            while chunk := connection.recv(4096):
                buffer += chunk
                *frames, buffer = buffer.split(b"\0")
                for frame in frames:
                    self._answer(connection, frame.decode().lstrip())

    def _answer(self, connection: socket.socket, frame: str) -> None:
        if self.behaviour == "hang":
            return
        if self.behaviour == "refuse":
            connection.sendall(b"ERROR\nmessage:no\n\nno\0")
            connection.shutdown(socket.SHUT_RDWR)
        elif frame.startswith(("STOMP", "CONNECT")):
            connection.sendall(f"CONNECTED\nversion:1.2\nheart-beat:0,{self.hears_every_ms}\n\n\0".encode())
            connection.settimeout(self.hears_every_ms / 1000 or None)
        elif frame.startswith("SUBSCRIBE"):
            connection.sendall(b"RECEIPT\nreceipt-id:fdr\n\n\0")
            self.connections.append(connection)


class Record:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def record(self, *events: Event) -> None:
        self.events += events

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBroker]:
    monkeypatch.setattr(fdr.subscription, "ANSWER_WITHIN_S", 1)
    monkeypatch.setattr(fdr.transfer_events, "TRY_AGAIN_S", 0.05)
    broker = FakeBroker()
    yield broker
    broker.stop()


def events_of(broker: FakeBroker) -> TransferEvents:
    where = Broker("127.0.0.1", broker.port, "/topic/t", "user", "password")
    return TransferEvents(where, RUN, SteadyClock())


@contextmanager
def listening(broker: FakeBroker) -> Iterator[Record]:
    record = Record()
    with events_of(broker) as events:
        events.tell(record)  # type: ignore[arg-type]
        yield record


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 10 s"
        time.sleep(0.01)


@pytest.mark.parametrize("behaviour", ["hang", "refuse"])
def test_a_broker_that_does_not_let_us_in_is_said_at_once(broker: FakeBroker, behaviour: str) -> None:
    """Before a run begins, a broker that hangs or refuses ends in a message, not in waiting."""
    broker.behaviour = behaviour
    began = time.monotonic()
    with pytest.raises(LakeUnusable, match="the event broker"), events_of(broker):
        pass
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("meanwhile", ["serve", "hang", "refuse"])
def test_a_broker_that_is_restarted_is_listened_to_again(broker: FakeBroker, meanwhile: str) -> None:
    """Whatever it does at first, events come again once it serves; the loss is noted, once a break."""
    with listening(broker) as record:
        broker.send(EVENT)
        wait_until(lambda: record.count(TransferSeen) == 1)
        for breaks in (1, 2):
            broker.stop()
            wait_until(lambda breaks=breaks: record.count(Note) == breaks)
            broker.behaviour = meanwhile
            broker.start()
            time.sleep(0.2)  # some tries meet what it does
            broker.behaviour = "serve"
            wait_until(lambda: bool(broker.connections))
            broker.send(EVENT)
            wait_until(lambda breaks=breaks: record.count(TransferSeen) == 1 + breaks)
        assert len(broker.connections) == 1
    assert [event.kind for event in record.events if isinstance(event, Note)] == ["events-lost"] * 2


def test_leaving_a_broker_that_hangs_takes_no_time(broker: FakeBroker) -> None:
    """The end of a run does not wait for a broker."""
    with listening(broker):
        broker.behaviour = "hang"
        began = time.monotonic()
    assert time.monotonic() - began < 5


def test_a_broker_that_counts_every_moment_is_never_late_for(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ActiveMQ does, which breaks with whoever was to be heard of by now and is not."""
    monkeypatch.setattr(fdr.subscription, "HEARTBEAT_MS", 300)
    broker.hears_every_ms = 300
    with listening(broker) as record:
        time.sleep(1.5)  # five times over
        broker.send(EVENT)
        wait_until(lambda: record.count(TransferSeen) == 1)
        assert record.count(Note) == 0
