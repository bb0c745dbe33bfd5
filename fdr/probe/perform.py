"""Probe a lake: look, try, take away what was made."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from fdr.connection import Connection
from fdr.payload import Payload
from fdr.probe.ask import ask
from fdr.probe.asked import Asked, Part
from fdr.probe.earlier import clean_earlier
from fdr.probe.login import Login, login_for
from fdr.probe.plan import Plan, plan_probe
from fdr.probe.record import earlier_records, record_of
from fdr.probe.result import Copied, Result, Tried
from fdr.probe.site import Site
from fdr.probe.steps import try_row
from fdr.probe.sweep import sweep
from fdr.probe.traces import Ledger
from fdr.probe.transfers import Means, copy_all
from fdr.rucio_door import RucioDoor
from fdr.rundir import new_run_id
from fdr.stop import Stop
from fdr.storage.steps import GfalSteps

THREADS = 4  # for each endpoint: a row, what is copied, and those that hang
EARLIER_AT_ONCE = 100  # of a storage that is down for days there are many; the rest is for the next probe
SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def perform(connection: Connection, asked: Asked, root: Path) -> Result:
    """Probe a lake, and return what that came to; what earlier probes left is taken away first.

    What is about to be made is written down in ``root``, where whoever calls lets nobody else in
    (``fdr.alone``). A signal ends it orderly; the second one, and one that comes before anything is made,
    breaks it off: CancelledError. Raises UsageError and LakeUnusable before anything is made.
    """
    started_at = time.time()
    stop, making = Stop(), asyncio.Event()
    with _interruptible(stop, making):
        sites = await _look(connection, asked)
        login = login_for(connection)
        storage = GfalSteps(
            threads=THREADS,
            x509_cert_dir=connection.x509_cert_dir,
            bearer_token=connection.bearer_token,
            timeout_s=asked.timeout_s,
            loopback_only=connection.embedded_home is not None,
        )
        try:
            records = tuple(islice(earlier_records(root, connection.name), EARLIER_AT_ONCE))
            earlier, earlier_left = await clean_earlier(records, storage, login, asked.timeout_s)
            plan = plan_probe(new_run_id(datetime.now(UTC)), sites, asked.parts)
            making.set()
            ledger = Ledger(record_of(root, plan.probe, connection.name), plan.places)
            rows, copies = await _tried(plan, asked, storage, ledger, stop, login)
            left = await sweep(ledger, storage)
            record = ledger.close(left.files, left.directories)
        finally:
            await storage.close()
    return Result(
        plan.probe,
        connection.name,
        asked,
        sites,
        rows,
        copies,
        started_at,
        time.time(),
        stop.wanted,
        left,
        record,
        earlier,
        earlier_left,
    )


async def _look(connection: Connection, asked: Asked) -> tuple[Site, ...]:
    door = RucioDoor(connection)
    try:
        return await ask(door, asked)
    finally:
        door.close()


async def _tried(
    plan: Plan, asked: Asked, storage: GfalSteps, ledger: Ledger, stop: Stop, login: Login
) -> tuple[tuple[Tried, ...], tuple[Copied, ...]]:
    """Try all rows and all copies beside each other."""
    rows = (
        try_row(row, Payload(f"{plan.probe} row {number}", asked.size_bytes), storage, ledger, stop)
        for number, row in enumerate(plan.rows)
    )
    copying = (
        copy_all(Means(plan, asked, storage, ledger, stop, login)) if Part.TRANSFERS in asked.parts else None
    )
    copies = asyncio.create_task(copying) if copying is not None else None
    tried = await asyncio.gather(*rows)
    return tuple(tried), await copies if copies is not None else ()


@contextmanager
def _interruptible(stop: Stop, making: asyncio.Event) -> Iterator[None]:
    """Let the first signal ask for an orderly end where something is made, and others break it off."""
    loop = asyncio.get_running_loop()
    whole = asyncio.current_task()

    def interrupt(name: str) -> None:
        if whole is not None and (stop.wanted or not making.is_set()):
            whole.cancel()
        stop.because("interrupted", name)

    for number in SIGNALS:
        loop.add_signal_handler(number, interrupt, number.name)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)
