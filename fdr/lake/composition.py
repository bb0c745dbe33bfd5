"""Which services make a lake, and their configuration."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fdr.lake.broker import broker_service
from fdr.lake.fts_service import fts_service, write_fts_config
from fdr.lake.install import lake_environment
from fdr.lake.postgres import postgres_service
from fdr.lake.rucio_services import BOOTSTRAP, rucio_services, write_client_cfg, write_server_cfg
from fdr.lake.storages import BEARER_TOKEN, lake_certificates, service_environment, storage_services
from fdr.lake.supervision import write_keeper_configuration

if TYPE_CHECKING:
    from fdr.lake.home import LakeHome
    from fdr.lake.service import Service
    from fdr.lake.settings import Settings


def configure(home: LakeHome, settings: Settings) -> list[Service]:
    """Write the configuration of the services, their keeper and the lake's clients; return the services.

    Those that start first stand at the head.
    """
    certificates = lake_certificates(home)
    stand_in = []
    if settings.fts_url is None:
        fts_cfg = home.etc / "fts.json"
        write_fts_config(
            fts_cfg,
            port=settings.ports["fts"],
            state_dir=home.directory / "fts",
            copy_mode=settings.copy_mode,
            x509_cert_dir=certificates.ca_dir,
            bearer_token=BEARER_TOKEN,
        )
        stand_in.append(fts_service(fts_cfg, python=str(Path(sys.prefix) / "bin" / "python"), priority=20))
    services = [
        postgres_service(home),
        broker_service(home, settings),
        *storage_services(home, settings),
        *stand_in,
        *rucio_services(home, settings, service_environment(certificates)),
    ]
    services.sort(key=lambda service: service.priority)
    packages = next(lake_environment().glob("lib/python*/site-packages"))
    write_server_cfg(home, settings, packages)
    write_client_cfg(home, settings, certificates.ca_dir, BEARER_TOKEN)
    write_keeper_configuration(home, services, once=(BOOTSTRAP,))
    return services
