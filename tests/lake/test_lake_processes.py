"""The lake's processes: watched, restarted, counted, and all gone when it is down."""

from __future__ import annotations

import os
import signal
import socket
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from fdr.errors import LakeUnusable, UsageError
from fdr.lake import embedded, postgres
from fdr.lake.logs import last_lines
from fdr.lake.orphans import processes_of, runs
from fdr.lake.rucio_services import DAEMONS
from fdr.lake.settings import is_free
from fdr.lake.status import ServiceStatus, status, with_cpu
from fdr.lake.supervision import Keeper

if TYPE_CHECKING:
    from collections.abc import Callable

    from fdr.lake.home import LakeHome

pytestmark = pytest.mark.lake
WITHIN_S = 20


def by_name(lake: LakeHome) -> dict[str, ServiceStatus]:
    """Return the status of every service by its name."""
    return {row.service: row for row in status(lake)}


def eventually(true: Callable[[], bool]) -> bool:
    """Tell whether something became true within a while."""
    deadline = time.monotonic() + WITHIN_S
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def heartbeats(lake: LakeHome, daemon: str) -> list[int]:
    """Return the process ids of a daemon's heartbeats in Rucio's database."""
    sql = f"SELECT pid FROM heartbeats WHERE readable = '{daemon}'"
    return [int(row[0]) for row in postgres.query(lake, embedded.current_settings(lake), sql)]


def test_every_service_is_a_process_of_its_own(lake: LakeHome) -> None:
    """PostgreSQL, server, broker, FTS, fourteen daemons and a server an RSE run, each with its own pid."""
    assert eventually(lambda: {row.state for row in status(lake)} == {"RUNNING"})
    rows = by_name(lake)
    sites = [f"xrootd-{rse}" for rse in embedded.current_settings(lake).sites]
    expected = {"keeper", "postgres", "rucio-server", "broker", "fts", *DAEMONS, *sites}
    assert len(DAEMONS) == 14
    assert set(rows) == expected
    assert len({row.pid for row in rows.values()}) == len(rows)
    assert all(row.memory_bytes > 1_000_000 and row.uptime_s > 0 for row in rows.values())


def test_cpu_and_memory_are_those_of_all_processes_of_a_service(lake: LakeHome) -> None:
    """The server's two workers count too, and a service that worked shows it."""
    before = by_name(lake)["postgres"].cpu_seconds

    def work() -> list[ServiceStatus]:
        postgres.query(
            lake, embedded.current_settings(lake), "SELECT sum(sqrt(n)) FROM generate_series(1, 2000000) n"
        )
        return status(lake)

    rows = {row.service: cpu for row, cpu in with_cpu(work, over_s=0)}
    assert by_name(lake)["rucio-server"].processes == 3
    assert by_name(lake)["postgres"].cpu_seconds > before
    assert rows["postgres"] > 0.05


def test_a_service_that_dies_is_restarted_and_counted(lake: LakeHome) -> None:
    """Killed, a daemon comes back as another process, its old heartbeat replaced by its own."""
    before = by_name(lake)["judge-cleaner"]
    os.kill(before.pid, signal.SIGKILL)
    assert eventually(lambda: by_name(lake)["judge-cleaner"].restarts == before.restarts + 1)
    assert eventually(lambda: by_name(lake)["judge-cleaner"].state == "RUNNING")
    now = by_name(lake)["judge-cleaner"].pid
    assert now != before.pid
    assert eventually(lambda: heartbeats(lake, "judge-cleaner") == [now])


def test_a_restart_that_was_asked_for_is_not_counted(lake: LakeHome) -> None:
    """Preparing a lake restarts the conveyor; the report must not call that a failure."""
    before = by_name(lake)["undertaker"]
    Keeper(lake).restart(["undertaker"])
    assert eventually(lambda: by_name(lake)["undertaker"].state == "RUNNING")
    after = by_name(lake)["undertaker"]
    assert (after.pid != before.pid, after.restarts) == (True, before.restarts)


def test_up_on_a_lake_that_is_up_only_says_so(lake: LakeHome) -> None:
    """Nothing is started again."""
    before = {row.service: row.pid for row in status(lake)}
    said: list[str] = []
    embedded.up(lake, say=said.append)
    assert said == ["the lake is up"]
    assert {row.service: row.pid for row in status(lake)} == before
    with pytest.raises(UsageError, match="fdr lake down"):
        embedded.up(lake, fts_url="http://elsewhere:8446")


def test_logs_never_show_a_password(lake: LakeHome) -> None:
    """Even one that a service wrote."""
    settings = embedded.current_settings(lake)
    with (lake.logs / "hermes.log").open("a") as file:
        file.write(f"connecting with {settings.secrets['broker']}\n")
    assert "connecting with ***" in list(last_lines(lake, "hermes", 50))
    everything = "\n".join(last_lines(lake, None, 10_000))
    assert not any(secret in everything for secret in settings.secrets.values())
    with pytest.raises(UsageError, match=r"write one of .*hermes"):
        list(last_lines(lake, "hermse", 1))


def test_passwords_are_in_no_command_line(lake: LakeHome) -> None:
    """Whoever lists processes sees none."""
    secrets = embedded.current_settings(lake).secrets.values()
    lines = [" ".join(process.cmdline()) for process in processes_of(lake)]
    assert len(lines) > 20
    assert not any(secret in line for secret in secrets for line in lines)


def test_down_leaves_no_process_and_no_port_and_up_brings_all_back(lake: LakeHome) -> None:
    """What the lake held is there afterwards; restarts count from none."""
    settings = embedded.current_settings(lake)
    processes = processes_of(lake)
    assert len(processes) > 20
    embedded.down(lake)
    try:
        assert not [process for process in processes if runs(process.pid)]
        assert processes_of(lake) == []
        listening = {
            connection.laddr.port
            for connection in psutil.net_connections("tcp")
            if connection.status == "LISTEN"
        }
        assert settings.taken & listening == set()
        assert not lake.keeper_socket.exists()
        with pytest.raises(LakeUnusable, match="fdr lake up"):
            status(lake)
    finally:
        embedded.up(lake)
    assert embedded.current_settings(lake) == settings
    known = {row[0] for row in postgres.query(lake, settings, "SELECT rse FROM rses WHERE NOT deleted")}
    assert known == set(settings.sites)
    assert {row.restarts for row in status(lake)} == {0}


def test_a_lake_whose_keeper_was_killed_comes_up_again(lake: LakeHome) -> None:
    """kill -9 of the keeper leaves nothing that stands in the way, and a port taken since is replaced."""
    settings = embedded.current_settings(lake)
    site = next(iter(settings.sites.values()))
    os.kill(by_name(lake)["keeper"].pid, signal.SIGKILL)
    assert eventually(lambda: is_free(site.address, site.root_port))
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind((site.address, site.root_port))
        thief.listen()
        embedded.up(lake)
        moved = embedded.current_settings(lake).sites[site.rse]
    assert moved.root_port != site.root_port
    assert eventually(lambda: {row.state for row in status(lake)} == {"RUNNING"})
    where = f"rse = '{site.rse}' AND scheme = 'root'"
    sql = f"SELECT port FROM rse_protocols JOIN rses ON rses.id = rse_id WHERE {where}"
    assert postgres.query(lake, settings, sql) == [(str(moved.root_port),)]
