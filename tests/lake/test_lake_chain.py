"""The whole chain: a file put and registered, ruled, moved by Rucio's conveyor and FTS, and announced."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import time
import zlib
from typing import TYPE_CHECKING, Any

import gfal2
import pytest
import stomp

from fdr.connection import Connection, read_connection
from fdr.errors import Refused
from fdr.lake.storages import storage_root
from fdr.lake.xrootd import storage_directory
from fdr.rucio_door import RucioDoor
from tests.lake.smoke import smoke

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fdr.lake.home import LakeHome

pytestmark = pytest.mark.lake
WITHIN_S = 60
ACCOUNT, SCOPE = "cta", "cta_fdr"


class Events(stomp.ConnectionListener):  # type: ignore[misc]  # stomp.py has no types
    """The events of the broker, as they come."""

    def __init__(self) -> None:
        self.heard: queue.Queue[dict[str, Any]] = queue.Queue()

    def on_message(self, frame: Any) -> None:
        """Keep an event."""
        self.heard.put(json.loads(frame.body))

    def wait_for(self, event_type: str, name: str) -> dict[str, Any]:
        """Return the payload of the first event of this type about this file."""
        deadline = time.monotonic() + WITHIN_S
        while True:
            event = self.heard.get(timeout=max(0.01, deadline - time.monotonic()))
            payload = event["payload"]
            payload = json.loads(payload) if isinstance(payload, str) else payload
            if event["event_type"] == event_type and payload["name"] == name:
                return dict(payload)


@pytest.fixture
def connection(lake: LakeHome) -> Connection:
    """The lake as fdr reaches it."""
    return read_connection(lake.client_cfg)


@pytest.fixture
def ask(connection: Connection) -> Iterator[Callable[[str, Callable[[Any], Any]], Any]]:
    """Ask Rucio something as an account."""
    door = RucioDoor(connection)
    yield lambda account, question: asyncio.run(door.call(account, question))
    door.close()


@pytest.fixture
def events(connection: Connection) -> Iterator[Events]:
    """The events that Rucio sends from now on."""
    broker = connection.broker
    assert broker is not None
    listener = Events()
    link = stomp.Connection12([(broker.host, broker.port)], vhost=broker.virtual_host)
    link.set_listener("", listener)
    link.connect(broker.user, broker.password, wait=True)
    link.subscribe(broker.topic, id="1")
    yield listener
    link.disconnect()


def on_disk(lake: LakeHome, rse: str) -> dict[str, bytes]:
    """Return the files on an RSE's disk by name."""
    root: Path = storage_directory(rse, storage_root(lake))
    return {path.name: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_file_is_replicated_by_a_rule_and_rucio_tells(
    lake: LakeHome, ask: Callable[[str, Callable[[Any], Any]], Any], events: Events, tmp_path: Path
) -> None:
    """Put with gfal2, registered and ruled as an experiment, it comes to the other RSE whole."""
    source, destination = list(smoke().rses)[:2]
    name = f"chain-{os.getpid()}-{time.time_ns()}"
    content = os.urandom(100_000)
    adler32 = f"{zlib.adler32(content):08x}"
    (tmp_path / "file").write_bytes(content)
    url = ask("root", lambda client: client.lfns2pfns(source, [f"{SCOPE}:{name}"], scheme="root"))[
        f"{SCOPE}:{name}"
    ]
    context = gfal2.creat_context()
    parameters = context.transfer_parameters()
    parameters.create_parent = True
    context.filecopy(parameters, (tmp_path / "file").as_uri(), url)
    assert on_disk(lake, source)[name] == content

    def register(client: Any) -> str:
        dataset = f"{name}.dataset"
        file = {"scope": SCOPE, "name": name, "bytes": len(content), "adler32": adler32}
        client.add_dataset(SCOPE, dataset, lifetime=86400)
        client.attach_dids_to_dids([{"scope": SCOPE, "name": dataset, "rse": source, "dids": [file]}])
        (rule,) = client.add_replication_rule(
            [{"scope": SCOPE, "name": dataset}], 1, destination, lifetime=86400
        )
        return str(rule)

    rule = ask(ACCOUNT, register)
    done = events.wait_for("transfer-done", name)
    assert (done["src-rse"], done["dst-rse"], done["bytes"]) == (source, destination, len(content))
    deadline = time.monotonic() + WITHIN_S
    while (state := ask(ACCOUNT, lambda client: client.get_replication_rule(rule)["state"])) != "OK":
        assert time.monotonic() < deadline, state
        time.sleep(0.2)
    assert on_disk(lake, destination)[name] == content


def test_an_account_is_not_an_administrator(
    lake: LakeHome, ask: Callable[[str, Callable[[Any], Any]], Any], connection: Connection
) -> None:
    """An experiment acts as itself, with a password of its own, and may not change the lake."""
    assert ask(ACCOUNT, lambda client: client.whoami()["account"]) == ACCOUNT
    assert connection.identities[ACCOUNT].credentials["username"] == ACCOUNT
    with pytest.raises(Refused, match="can not add RSE"):
        ask(ACCOUNT, lambda client: client.add_rse("SOMEWHERE"))


def test_one_identity_serves_every_account(lake: LakeHome, connection: Connection) -> None:
    """The identity in [client] may act as any account of the scenario too."""
    plain = RucioDoor(
        Connection(**{slot: getattr(connection, slot) for slot in connection.__slots__} | {"identities": {}})
    )
    try:
        assert asyncio.run(plain.call(ACCOUNT, lambda client: client.whoami()["account"])) == ACCOUNT
    finally:
        plain.close()


def test_a_wrong_password_does_not_get_in(connection: Connection) -> None:
    """Neither at Rucio nor at the broker."""
    broker = connection.broker
    assert broker is not None
    link = stomp.Connection12(
        [(broker.host, broker.port)], vhost=broker.virtual_host, reconnect_attempts_max=1, timeout=2
    )
    with pytest.raises(stomp.exception.ConnectFailedException):
        link.connect(broker.user, "wrong", wait=True)
