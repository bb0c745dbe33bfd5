"""A crew whose copies end as they are told to, and requests to an application without a network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fdr.lake.fts.answers import Owner
from fdr.lake.fts.app import Api, make_app
from fdr.lake.fts.config import Config
from fdr.lake.fts.dispatcher import Dispatcher
from fdr.lake.fts.faults import Faults
from fdr.lake.fts.job import Ending
from fdr.lake.fts.order import Order
from fdr.lake.fts.store import Store

TRANSFER_TIMEOUT_S = 602
PID = 4242


class ScriptedCrew:
    """Keeps the promises of ``fdr.lake.fts.crew.Crew``: one call, one ending, cancelled at once.

    A copy without an ending of its own hangs until it is cancelled.
    """

    def __init__(self, endings: Mapping[tuple[str, str, bool], Ending]) -> None:
        """Take the endings by source, destination and leave to overwrite."""
        self.endings = dict(endings)
        self.orders: list[Order] = []

    async def copy(
        self, order: Order, started: Callable[[int], None], prepared: Callable[[int, int], None]
    ) -> Ending:
        """Pretend to copy."""
        self.orders.append(order)
        started(PID)
        ending = self.endings.get((order.source, order.destination, order.overwrite))
        if ending is None:
            await asyncio.Event().wait()
            raise AssertionError("an event that nobody sets was set")
        if ending.duration_s:
            prepared(ending.filesize, TRANSFER_TIMEOUT_S)
        await asyncio.sleep(0)
        return ending

    def close(self) -> None:
        """Do nothing: there are no processes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered with."""

    status: int
    content: Any


class Client:
    """Asks an application directly."""

    def __init__(self, app: Any) -> None:
        """Take the application."""
        self._app = app

    async def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Make one request; a ``body`` of bytes is sent as it is, anything else as JSON."""
        parts = urlsplit(path)
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent: list[dict[str, Any]] = []
        scope = {
            "type": "http",
            "method": method,
            "path": parts.path,
            "query_string": parts.query.encode(),
            "headers": [],
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        text = b"".join(message.get("body", b"") for message in sent[1:])
        return Answer(sent[0]["status"], json.loads(text) if text else None)


@asynccontextmanager
async def stand_in(
    directory: Path, crew: ScriptedCrew, faults: Faults | None = None, **settings: Any
) -> AsyncIterator[Client]:
    """Run the queue and the application on a scripted crew; jobs stay in ``directory``."""
    config = Config(
        **{"port": 0, "state_dir": directory, "vo": "lab", "user_dn": "/DC=lab/CN=fts user", **settings}
    )
    faults = faults or Faults(seed=1)
    store = Store(directory / "jobs.sqlite")
    dispatcher = Dispatcher(config, store, crew, faults)  # type: ignore[arg-type]
    running = asyncio.create_task(dispatcher.run())
    await dispatcher.is_ready.wait()
    try:
        yield Client(make_app(Api(Owner(config.vo, config.user_dn), store, dispatcher, faults)))
        if running.done():
            running.result()
    finally:
        running.cancel()
        await asyncio.wait([running])
        store.close()


async def until(question: Callable[[], Any], within_s: float = 3.0) -> Any:
    """Ask again until the answer is true, and return it; fails after ``within_s``."""
    async with asyncio.timeout(within_s):
        while not (answer := await question()):
            await asyncio.sleep(0.005)
    return answer
