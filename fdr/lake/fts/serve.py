"""Run the stand-in: one process for HTTP and the queue, and its workers."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from fdr.errors import ExitCode, FdrError, LakeUnusable
from fdr.lake.fts.answers import Owner
from fdr.lake.fts.app import Api, make_app
from fdr.lake.fts.config import Config, read_config
from fdr.lake.fts.crew import Crew
from fdr.lake.fts.dispatcher import Dispatcher
from fdr.lake.fts.faults import Faults
from fdr.lake.fts.store import Store

LOOPBACK = "127.0.0.1"
GRACE_S = 1
LONGEST_URL = 4 * 2**20  # a poll names thousands of jobs, 37 bytes each


def build(config: Config, config_path: Path) -> Starlette:
    """Return the application with its queue and workers, which live as long as it serves.

    Raises LakeUnusable when the state directory cannot be used.
    """
    try:
        config.state_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LakeUnusable(f"{config.state_dir}: cannot be made: {error.strerror}") from error
    store = Store(config.state_dir / "jobs.sqlite")
    crew, faults = Crew(config, config_path), Faults(config.seed)
    dispatcher = Dispatcher(config, store, crew, faults)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        running = asyncio.create_task(dispatcher.run())
        running.add_done_callback(_end_with)
        await dispatcher.is_ready.wait()
        yield
        running.remove_done_callback(_end_with)
        running.cancel()
        crew.close()
        await asyncio.wait([running])
        store.close()

    return make_app(Api(Owner(config.vo, config.user_dn), store, dispatcher, faults), lifespan)


def serve(config: Config, config_path: Path) -> None:
    """Serve until SIGTERM or SIGINT, which end it within 3 s whatever hangs.

    Raises LakeUnusable when the port is taken or the state directory cannot be used.
    """
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOOPBACK, config.port))
    except OSError as error:
        raise LakeUnusable(
            f"{LOOPBACK}:{config.port}: the FTS stand-in cannot listen: {error.strerror}"
        ) from error
    server = uvicorn.Server(
        uvicorn.Config(
            build(config, config_path),
            access_log=False,
            log_config=None,
            h11_max_incomplete_event_size=LONGEST_URL,
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    asyncio.run(server.serve(sockets=[listening]))


def main() -> None:
    """Serve by the configuration file named on the command line."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if len(sys.argv) != 2:
        print("usage: python -m fdr.lake.fts CONFIG.json", file=sys.stderr)
        sys.exit(ExitCode.USAGE)
    path = Path(sys.argv[1])
    try:
        serve(read_config(path), path)
    except FdrError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


def _end_with(running: asyncio.Task[None]) -> None:
    """End the process when the queue has ended by a defect: its keeper starts it again."""
    logging.critical("the queue of the FTS stand-in ended", exc_info=running.exception())
    os._exit(ExitCode.DEFECT)
