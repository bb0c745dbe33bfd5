"""The STOMP broker that carries Rucio's events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import stomp

from fdr.lake.rucio_cfg import BrokerAccess
from fdr.lake.service import Service
from fdr.lake.settings import LOOPBACK, write_private

if TYPE_CHECKING:
    from fdr.lake.home import LakeHome
    from fdr.lake.settings import Settings

NAME = "broker"
USER = "fdr"
VIRTUAL_HOST = "fdr-lake"


def broker_service(home: LakeHome, settings: Settings) -> Service:
    """Write the broker's configuration and return it as the keeper runs it."""
    users = home.etc / "broker-users.ini"
    write_private(users, f"[auth]\n{USER} = {settings.secrets['broker']}\n")
    configuration = home.etc / "broker.cfg"
    write_private(
        configuration,
        "[coilmq]\n"
        f"listen_addr = {LOOPBACK}\n"
        f"listen_port = {settings.ports['broker']}\n"
        "auth.factory = coilmq.auth.simple.make_simple\n"
        f"auth.simple.file = {users}\n",
    )
    return Service(NAME, ("rucio:broker",), environment={"FDR_BROKER_CFG": str(configuration)}, priority=20)


def access(settings: Settings) -> BrokerAccess:
    """Return how the broker is reached."""
    return BrokerAccess(LOOPBACK, settings.ports["broker"], USER, settings.secrets["broker"], VIRTUAL_HOST)


def is_ready(settings: Settings) -> bool:
    """Tell whether the broker takes us in, with the password that Rucio has."""
    connection = stomp.Connection12(
        [(LOOPBACK, settings.ports["broker"])], vhost=VIRTUAL_HOST, reconnect_attempts_max=1, timeout=2
    )
    try:
        connection.connect(USER, settings.secrets["broker"], wait=True)
    except (stomp.exception.StompException, OSError):
        return False
    connection.disconnect()
    return True
