"""Carry out one rehearsal: check the lake, perform the plan, follow it, keep the record."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fdr import __version__
from fdr.abort import abort_when_due
from fdr.cancel import cancel_open_rules
from fdr.catalog import Catalog
from fdr.clock import Clock, SteadyClock
from fdr.connection import Connection
from fdr.context import Context
from fdr.earlier import Earlier
from fdr.engine import Engine
from fdr.journal.reader import JournalReader, read_journal
from fdr.journal.writer import Journal
from fdr.model import Note, Resumed, RunStarted, Scenario, ServiceSample
from fdr.outages import Outages
from fdr.patient_catalog import PatientCatalog
from fdr.pfn import Locator
from fdr.plan import digest, plan
from fdr.preflight import check_lake
from fdr.reach import UPLOADS_AT_ONCE, Doors
from fdr.registrar import Registrar
from fdr.rundir import RunDir
from fdr.samples import Sampler
from fdr.settle import settle
from fdr.standing import Standing
from fdr.stop import Stop
from fdr.stop_request import obey
from fdr.transfer_events import TransferEvents
from fdr.watch import EVENTS_GRACE_S, RESUMED_EVENTS_GRACE_S, Watch


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One scenario on one lake, with everything it needs.

    ``services`` samples the lake's services, None where they are not ours to see. ``earlier`` is what the run
    has done already, None for one that begins. ``tries_writing`` is false where the caller has found out what
    can be written.
    """

    run: str
    scenario: Scenario
    run_dir: RunDir
    connection: Connection
    doors: Doors
    services: Callable[[float], list[ServiceSample]] | None = None
    clock: Clock = field(default_factory=SteadyClock)
    earlier: Earlier | None = None
    tries_writing: bool = True

    async def carry_out(self, show: Callable[[asyncio.Event], Coroutine[None, None, None]]) -> bool:
        """Rehearse from check to last event; return whether the run was interrupted.

        ``show`` runs beside the rehearsal, from when the journal is there to be read until the event that it
        is given is set. Raises LakeUnusable before anything is injected, JournalFailed when the record cannot
        be kept.
        """
        must_write = self.tries_writing and self.earlier is None
        catalog, storage = self.doors.catalog, self.doors.storage
        locators = await check_lake(self.scenario, self.run, catalog, storage, must_write=must_write)
        stop = Stop()
        with _signals(stop), ExitStack() as leaving:
            events = self._subscribe(leaving)
            journal = await self._open_journal()
            if events is not None:
                events.tell(journal)
            over = asyncio.Event()
            showing = asyncio.create_task(show(over))
            telling = asyncio.create_task(_tell_stop(journal, self.clock, stop))
            try:
                await self._perform(journal, locators, stop)
                if stop.wanted and not telling.done():
                    await telling
                journal.record(Note(self.clock.now(), "ended"))
                await journal.flush()
            finally:
                over.set()
                telling.cancel()
                await asyncio.gather(showing, telling, return_exceptions=True)
                await journal.close()
        return stop.kind == "interrupted"

    async def _perform(self, journal: Journal, locators: dict[str, Locator], stop: Stop) -> None:
        """Settle what is not known, inject, and follow what was injected, until all are over."""
        with read_journal(self.run_dir.journal) as reader:
            started_at = reader.started.started_at
            catalog = self._patient_catalog(journal, stop)
            context = self._context(journal, catalog, locators, started_at)
            standing = self.earlier.standing if self.earlier else Standing()
            if self.earlier is not None:
                await settle(context, standing, reader, self.doors.inventory)
            sampler = self._sampler(journal)
            injected = asyncio.Event()
            watch = self._watch(journal, catalog, reader)
            engine = Engine(context, UPLOADS_AT_ONCE, standing=standing)
            async with asyncio.TaskGroup() as group:
                sampling = group.create_task(sampler.run())
                guarding = group.create_task(_guard(journal))
                obeying = group.create_task(obey(self.run_dir.stop_request, stop))
                aborting = group.create_task(
                    abort_when_due(self.scenario, self.run_dir.journal, self.clock, stop)
                )
                following = group.create_task(watch.follow(injected, stop, self.scenario.grace_s))
                await engine.run(plan(self.scenario), started_at, stop)
                injected.set()
                await following
                if stop.cancels:
                    await cancel_open_rules(watch, self.doors.rule_removal, journal, self.clock)
                if self.connection.broker is not None:
                    await watch.await_transfers(stop)
                await catalog.close()
                for beside in (sampling, guarding, obeying, aborting):
                    beside.cancel()
        await sampler.finish()

    def _patient_catalog(self, journal: Journal, stop: Stop) -> PatientCatalog:
        catalog = self.doors.catalog
        return PatientCatalog(catalog, Outages(catalog.log_in, journal.record, self.clock, stop))

    def _context(
        self, journal: Journal, catalog: Catalog, locators: dict[str, Locator], started_at: float
    ) -> Context:
        accounts = {experiment.account for experiment in self.scenario.experiments.values()}
        return Context(
            run=self.run,
            date=f"{datetime.fromtimestamp(started_at, UTC):%Y%m%d}",
            scenario=self.scenario,
            catalog=catalog,
            storage=self.doors.storage,
            locators=locators,
            journal=journal,
            clock=self.clock,
            registrars={account: Registrar(catalog, account) for account in accounts},
        )

    def _sampler(self, journal: Journal) -> Sampler:
        account = min(experiment.account for experiment in self.scenario.experiments.values())
        rses = sorted(self.scenario.rses)
        used_before = self.earlier.usage if self.earlier else None
        return Sampler(journal, self.clock, self.doors.catalog, account, rses, self.services, used_before)

    def _watch(self, journal: Journal, catalog: Catalog, reader: JournalReader) -> Watch:
        grace_s = RESUMED_EVENTS_GRACE_S if self.earlier else EVENTS_GRACE_S
        return Watch(self.run, self.scenario, catalog, journal, reader, self.clock, grace_s)

    async def _open_journal(self) -> Journal:
        """Begin the run's journal, or go on with it."""
        now = self.clock.now()
        if self.earlier is None:
            return Journal.create(self.run_dir.journal, await self._head(now))
        journal = Journal.reopen(self.run_dir.journal)
        journal.record(Resumed(now, self.earlier.last_at))
        return journal

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
            rucio_version=await self.doors.catalog.version(),
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


async def _tell_stop(journal: Journal, clock: Clock, stop: Stop) -> None:
    """Record that the run is to stop as soon as it is, so that whoever reads meanwhile knows."""
    await stop.wait()
    journal.record(Note(clock.now(), stop.kind, stop.text))


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
