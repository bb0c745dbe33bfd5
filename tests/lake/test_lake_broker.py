"""The broker of the embedded lake loses nothing that Rucio sends."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import stomp

from fdr.connection import Broker, read_connection
from fdr.lake.home import LakeHome

MESSAGES = 20_000
TOPIC = "/topic/test"

pytestmark = pytest.mark.lake


def connected(broker: Broker) -> Any:
    connection = stomp.Connection12([(broker.host, broker.port)], vhost=broker.virtual_host)
    connection.connect(broker.user, broker.password, wait=True)
    return connection


class Count(stomp.ConnectionListener):  # type: ignore[misc]
    """Counts messages by their body and tells when all are there."""

    def __init__(self) -> None:
        self.bodies: set[str] = set()
        self.is_subscribed = threading.Event()
        self.is_complete = threading.Event()

    def on_receipt(self, _: Any) -> None:
        self.is_subscribed.set()

    def on_message(self, frame: Any) -> None:
        self.bodies.add(frame.body)
        if len(self.bodies) == MESSAGES:
            self.is_complete.set()


def test_every_message_arrives_however_fast_they_are_sent(lake: LakeHome) -> None:
    """Twenty thousand messages in one go, so that frames are cut anywhere, all reach a subscriber."""
    broker = read_connection(lake.client_cfg).broker
    assert broker is not None
    count = Count()
    listening = connected(broker)
    listening.set_listener("count", count)
    listening.subscribe(TOPIC, id="1", headers={"receipt": "subscribed"})
    assert count.is_subscribed.wait(10)
    sending = connected(broker)
    for number in range(MESSAGES):
        sending.send(TOPIC, f"{number}:{'x' * (number % 700)}", headers={"event_type": "transfer-done"})
    count.is_complete.wait(60)
    sending.disconnect()
    listening.disconnect()
    assert len(count.bodies) == MESSAGES


def test_nobody_is_let_in_without_the_password(lake: LakeHome) -> None:
    """A wrong password ends the connection."""
    broker = read_connection(lake.client_cfg).broker
    assert broker is not None
    connection = stomp.Connection12(
        [(broker.host, broker.port)], vhost=broker.virtual_host, reconnect_attempts_max=1
    )
    with pytest.raises(stomp.exception.ConnectFailedException):
        connection.connect(broker.user, "wrong", wait=True)
