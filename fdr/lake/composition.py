"""Which services make a lake, and their configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fdr.lake.broker import broker_service
from fdr.lake.install import lake_environment
from fdr.lake.postgres import postgres_service
from fdr.lake.rucio_services import BOOTSTRAP, rucio_services, write_client_cfg, write_server_cfg
from fdr.lake.supervision import write_keeper_configuration

if TYPE_CHECKING:
    from fdr.lake.home import LakeHome
    from fdr.lake.service import Service
    from fdr.lake.settings import Settings


def compose(home: LakeHome, settings: Settings) -> list[Service]:
    """Return every service of the lake, those that start first at the head."""
    services = [
        postgres_service(home),
        broker_service(home, settings),
        *rucio_services(home, settings, {}),
    ]
    return sorted(services, key=lambda service: service.priority)


def configure(home: LakeHome, settings: Settings) -> None:
    """Write the configuration of every service, of the keeper, and of the lake's clients."""
    packages = next(lake_environment().glob("lib/python*/site-packages"))
    write_server_cfg(home, settings, packages)
    write_client_cfg(home, settings, None, None)
    write_keeper_configuration(home, compose(home, settings), once=(BOOTSTRAP,))
