"""Bring an embedded lake up, take it down, and remove it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from fdr.connection import read_connection
from fdr.errors import LakeUnusable, UsageError
from fdr.lake import broker, postgres, readiness, storages
from fdr.lake.composition import configure
from fdr.lake.endpoints import administer, restore_endpoints
from fdr.lake.install import install
from fdr.lake.orphans import await_end, end_processes, processes_of, runs
from fdr.lake.rucio_services import BOOTSTRAP, DAEMONS, PROBE_SCOPE, SERVER
from fdr.lake.settings import (
    COPY_MODES,
    Settings,
    new_settings,
    read_settings,
    with_free_ports,
    write_settings,
)
from fdr.lake.supervision import KEEPER, Keeper

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fdr.lake.home import LakeHome

FTS = "fts"
STAND_IN = "stand-in"
DEFAULT_COPY_MODE = COPY_MODES[0]


def silent(_: str) -> None:
    """Say nothing."""


def up(
    home: LakeHome,
    *,
    fts_url: str | None = None,
    copy_mode: str | None = None,
    say: Callable[[str], None] = silent,
) -> None:
    """Bring the lake up and return when it really answers; nothing happens when it is up already.

    ``fts_url`` names an FTS to use in place of the stand-in ("stand-in" goes back to it), ``copy_mode``
    how the stand-in copies ("third-party" or "streamed"); both are kept for the next time. Raises
    LakeUnusable, with the end of the log of the service that failed, and leaves nothing running then.
    """
    with home.lock():
        old = read_settings(home.settings_file)
        if Keeper(home).answers():
            _refuse_change(old, fts_url, copy_mode)
            say("the lake is up")
            return
        python = install(say)
        home.make()
        left = end_processes(home)
        if left:
            say(f"ended {left} processes that an earlier lake here had left behind")
        settings = _settings(old, fts_url, copy_mode)
        if settings.fts_url is not None and not readiness.fts_answers(settings):
            raise LakeUnusable(f"{settings.fts_url}: no FTS answers there: name another one with --fts")
        write_settings(home.settings_file, settings)
        try:
            _start(home, settings, python, say)
        except BaseException:
            _end(home)
            raise


def down(home: LakeHome, say: Callable[[str], None] = silent) -> None:
    """Take the lake down, orderly; no process and no port of it is left. Nothing happens when it is down."""
    if not home.directory.exists():
        say("there is no lake")
        return
    with home.lock():
        if not Keeper(home).answers() and not processes_of(home):
            say("the lake is down")
            return
        say("stopping the lake")
        _end(home)
        say("the lake is down")


def reset(home: LakeHome, say: Callable[[str], None] = silent) -> None:
    """Take the lake down and remove its directory. Raises UsageError when it is not a lake of fdr."""
    if not home.directory.exists():
        say("there is no lake")
        return
    if not home.marker.is_file():
        home.remove()  # says why not
    down(home, say)
    with home.lock():
        home.remove()
    home.lock_file.unlink(missing_ok=True)
    say(f"removed {home.directory}")


def is_up(home: LakeHome) -> bool:
    """Tell whether the lake's keeper answers."""
    return Keeper(home).answers()


def current_settings(home: LakeHome) -> Settings:
    """Return the settings of a lake that has been made. Raises LakeUnusable when there is none."""
    settings = read_settings(home.settings_file)
    if settings is None:
        raise LakeUnusable(f"{home.directory}: there is no lake: run 'fdr lake up'")
    return settings


def _settings(old: Settings | None, fts_url: str | None, copy_mode: str | None) -> Settings:
    if old is None:
        return new_settings(copy_mode or DEFAULT_COPY_MODE, None if fts_url == STAND_IN else fts_url)
    return with_free_ports(_changed(old, fts_url, copy_mode))


def _changed(old: Settings, fts_url: str | None, copy_mode: str | None) -> Settings:
    fts = {None: old.fts_url, STAND_IN: None}.get(fts_url, fts_url)
    return replace(old, fts_url=fts, copy_mode=copy_mode or old.copy_mode)


def _refuse_change(old: Settings | None, fts_url: str | None, copy_mode: str | None) -> None:
    if old is not None and _changed(old, fts_url, copy_mode) != old:
        raise UsageError("the lake is up with another FTS or copy mode: run 'fdr lake down' first")


def _start(home: LakeHome, settings: Settings, python: Path, say: Callable[[str], None]) -> None:
    keeper = Keeper(home)

    def wait(service: str, ready: Callable[[], bool]) -> None:
        readiness.wait_for(home, settings, service, ready, alive=partial(keeper.keeps, service))

    with ThreadPoolExecutor(1) as pool:
        database = pool.submit(postgres.initialise, home, settings)
        services = configure(home, settings)
        say("waiting for the keeper of the processes")
        pid = keeper.start(python)
        database.result()
        readiness.wait_for(home, settings, KEEPER, keeper.answers, alive=partial(runs, pid))
    say("waiting for PostgreSQL")
    early = [service.name for service in services if service.priority < 30 and service.name != BOOTSTRAP]
    keeper.begin(early)
    wait(postgres.NAME, lambda: postgres.is_ready(home))
    say("waiting for Rucio's database")
    keeper.begin([BOOTSTRAP])
    _wait_until_made(home, settings, keeper)
    keeper.begin(service.name for service in services if service.name != BOOTSTRAP)
    say("waiting for the Rucio server")
    wait(SERVER, lambda: readiness.rucio_answers(settings))
    say("waiting for the broker")
    wait(broker.NAME, lambda: broker.is_ready(settings))
    if settings.fts_url is None:
        say("waiting for the FTS")
        wait(FTS, lambda: readiness.fts_answers(settings))
    storages.wait(home, settings, settings.sites.values(), say)
    restore_endpoints(home, settings)
    say("waiting for the daemons")
    readiness.wait_for_heartbeats(home, settings, keeper, DAEMONS)
    say("writing a DID")
    administer(read_connection(home.client_cfg), lambda admin: admin.prove_writing(PROBE_SCOPE))


def _wait_until_made(home: LakeHome, settings: Settings, keeper: Keeper) -> None:
    deadline = time.monotonic() + 60
    while (process := keeper.processes()[BOOTSTRAP]).state != "EXITED" and time.monotonic() < deadline:
        time.sleep(readiness.POLL_S)
    if process.state != "EXITED" or process.exit_status != 0:
        raise LakeUnusable(f"Rucio's database was not made.{readiness.log_end(home, settings, BOOTSTRAP)}")


def _end(home: LakeHome) -> None:
    """Stop by tiers, the database last, then whatever is left of this lake."""
    keeper, processes = Keeper(home), processes_of(home)
    try:
        keeper.end(name for name in keeper.processes() if name != postgres.NAME)
        keeper.end([postgres.NAME])
        keeper.shut_down()
        await_end(processes, 10)
    except LakeUnusable:
        pass  # no keeper: what it left behind is ended below
    end_processes(home)
    for path in (home.keeper_socket, home.run / "keeper.pid"):
        path.unlink(missing_ok=True)
