"""Carry out one rehearsal: check the lake, perform the plan, follow it, keep the record."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fdr import __version__
from fdr.catalog import Catalog
from fdr.clock import Clock, SteadyClock
from fdr.connection import Connection
from fdr.context import Context
from fdr.engine import Engine
from fdr.journal.reader import read_journal
from fdr.journal.writer import Journal
from fdr.model import Note, RunStarted, Scenario, ServiceSample
from fdr.pfn import Locator
from fdr.plan import digest, plan
from fdr.preflight import check_lake
from fdr.reach import UPLOADS_AT_ONCE
from fdr.registrar import Registrar
from fdr.rundir import RunDir
from fdr.samples import Sampler
from fdr.stop import Stop
from fdr.storage.base import Storage
from fdr.transfer_events import TransferEvents
from fdr.watch import Watch


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One scenario on one lake, with everything it needs.

    ``services`` samples the lake's services, None where they are not ours to see.
    """

    run: str
    scenario: Scenario
    run_dir: RunDir
    connection: Connection
    catalog: Catalog
    storage: Storage
    services: Callable[[float], list[ServiceSample]] | None = None
    clock: Clock = field(default_factory=SteadyClock)

    async def carry_out(self, show: Callable[[asyncio.Event], Coroutine[None, None, None]]) -> bool:
        """Rehearse from check to last event; return whether the run was interrupted.

        ``show`` runs beside the rehearsal, from when the journal is there to be read until the event that it
        is given is set. Raises LakeUnusable before anything is injected, JournalFailed when the record cannot
        be kept.
        """
        locators = await check_lake(self.scenario, self.run, self.catalog, self.storage)
        stop = Stop()
        with _signals(stop), ExitStack() as leaving:
            events = self._subscribe(leaving)
            started_at = self.clock.now()
            journal = Journal.create(self.run_dir.journal, await self._head(started_at))
            if events is not None:
                events.tell(journal)
            over = asyncio.Event()
            showing = asyncio.create_task(show(over))
            try:
                await self._perform(journal, locators, started_at, stop)
                if stop.wanted:
                    journal.record(Note(self.clock.now(), stop.kind, stop.text))
                journal.record(Note(self.clock.now(), "ended"))
                await journal.flush()
            finally:
                over.set()
                await asyncio.gather(showing, return_exceptions=True)
                await journal.close()
        return stop.kind == "interrupted"

    async def _perform(
        self, journal: Journal, locators: dict[str, Locator], started_at: float, stop: Stop
    ) -> None:
        """Inject, and follow what was injected, until both are over."""
        accounts = {experiment.account for experiment in self.scenario.experiments.values()}
        context = Context(
            run=self.run,
            date=f"{datetime.fromtimestamp(started_at, UTC):%Y%m%d}",
            scenario=self.scenario,
            catalog=self.catalog,
            storage=self.storage,
            locators=locators,
            journal=journal,
            clock=self.clock,
            registrars={account: Registrar(self.catalog, account) for account in accounts},
        )
        sampler = Sampler(
            journal, self.clock, self.catalog, min(accounts), sorted(self.scenario.rses), self.services
        )
        injected = asyncio.Event()
        with read_journal(self.run_dir.journal) as reader:
            watch = Watch(self.run, self.scenario, self.catalog, journal, reader, self.clock)
            async with asyncio.TaskGroup() as group:
                sampling = group.create_task(sampler.run())
                guarding = group.create_task(_guard(journal))
                following = group.create_task(watch.follow(injected, stop, self.scenario.grace_s))
                await Engine(context, UPLOADS_AT_ONCE).run(plan(self.scenario), started_at, stop)
                injected.set()
                await following
                if self.connection.broker is not None:
                    await watch.await_transfers(stop)
                sampling.cancel()
                guarding.cancel()
        await sampler.finish()

    async def _head(self, started_at: float) -> RunStarted:
        return RunStarted(
            run=self.run,
            scenario=self.scenario.name,
            seed=self.scenario.seed,
            plan_digest=await asyncio.to_thread(digest, self.scenario),
            scale=self.scenario.scale,
            speed=self.scenario.speed,
            started_at=started_at,
            fdr_version=__version__,
            rucio_version=await self.catalog.version(),
            lake=self.connection.name,
            copy_mode=self.connection.copy_mode,
            size_scale=self.scenario.size_scale,
            lake_config=str(self.connection.rucio_cfg),
        )

    def _subscribe(self, leaving: ExitStack) -> TransferEvents | None:
        """Subscribe to the lake's transfer events, where it has a broker."""
        if self.connection.broker is None:
            return None
        return leaving.enter_context(TransferEvents(self.connection.broker, self.run, self.clock))


async def _guard(journal: Journal) -> None:
    """Raise as soon as the journal cannot be kept any more."""
    raise await journal.failed()


@contextmanager
def _signals(stop: Stop) -> Iterator[None]:
    """Let SIGINT and SIGTERM ask for an orderly end; a second SIGINT ends the process as usual."""
    loop = asyncio.get_running_loop()

    def interrupt(name: str) -> None:
        if stop.wanted:
            loop.remove_signal_handler(signal.SIGINT)
        stop.because("interrupted", name)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt, number.name)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
