"""Wait until the services of a lake really answer, and say which one does not."""

from __future__ import annotations

import json
import time
import urllib.request
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from fdr.errors import LakeUnusable
from fdr.lake import postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fdr.lake.home import LakeHome
    from fdr.lake.settings import Settings
    from fdr.lake.supervision import Keeper

POLL_S = 0.05
# Whatever proxy the environment names, the lake is on this machine.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
LINES_SHOWN = 20


def wait_for(
    home: LakeHome,
    settings: Settings,
    service: str,
    ready: Callable[[], bool],
    alive: Callable[[], bool],
    within_s: float = 60,
) -> None:
    """Wait until ``ready`` says so. Raises LakeUnusable with the end of the service's log when it does not.

    A service that is not ``alive`` any more is not waited for.
    """
    deadline = time.monotonic() + within_s
    while not ready():
        if not alive():
            raise LakeUnusable(f"{service} has ended.{log_end(home, settings, service)}")
        if time.monotonic() > deadline:
            raise LakeUnusable(
                f"{service} did not answer within {within_s:.0f} s.{log_end(home, settings, service)}"
            )
        time.sleep(POLL_S)


def wait_for_heartbeats(home: LakeHome, settings: Settings, keeper: Keeper, daemons: Iterable[str]) -> None:
    """Wait until each of these daemons, as it runs now, has its heartbeat in Rucio's database."""
    for name in daemons:
        ready = partial(_beats, home, settings, keeper, name)
        wait_for(home, settings, name, ready, alive=partial(keeper.keeps, name))


def _beats(home: LakeHome, settings: Settings, keeper: Keeper, daemon: str) -> bool:
    mine = f"readable = '{daemon}' AND pid = {keeper.processes()[daemon].pid}"
    return bool(postgres.query(home, settings, f"SELECT 1 FROM heartbeats WHERE {mine}"))


def log_end(home: LakeHome, settings: Settings, service: str, lines: int = LINES_SHOWN) -> str:
    """Return the last lines of a service's log under a heading, without any secret of the lake."""
    path = home.logs / f"{service}.log"
    try:
        with path.open(errors="replace") as file:
            last = deque(file, maxlen=lines)
    except OSError:
        last = deque()
    if not last:
        return f" Its log, {path}, says nothing."
    return settings.redact(f" The end of its log, {path}:\n{''.join(last).rstrip()}")


def answers_http(url: str, timeout_s: float = 2) -> bool:
    """Tell whether a URL gives 200."""
    try:
        with DIRECT.open(url, timeout=timeout_s) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


def rucio_answers(settings: Settings) -> bool:
    """Tell whether the Rucio server takes us in."""
    request = urllib.request.Request(
        f"{settings.server_url}/auth/userpass",
        headers={
            "X-Rucio-Account": "root",
            "X-Rucio-Username": "fdr",
            "X-Rucio-Password": settings.secrets["rucio"],
        },
    )
    try:
        with DIRECT.open(request, timeout=5) as answer:
            return bool(answer.headers.get("X-Rucio-Auth-Token"))
    except (OSError, ValueError):
        return False


def fts_answers(settings: Settings) -> bool:
    """Tell whether the FTS says who we are, which is what Rucio asks it first."""
    try:
        with DIRECT.open(f"{settings.fts}/whoami", timeout=5) as answer:
            return "base_id" in json.load(answer)
    except (OSError, ValueError):
        return False
