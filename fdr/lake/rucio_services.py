"""The Rucio server and its fourteen daemons, and where their rucio.cfg is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fdr.lake import broker, postgres, rucio_cfg
from fdr.lake.rucio_cfg import ServerParts, client_sections, server_sections
from fdr.lake.service import Service
from fdr.lake.settings import LOOPBACK, write_private

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fdr.lake.home import LakeHome
    from fdr.lake.settings import Settings

SERVER = "rucio-server"
BOOTSTRAP = "bootstrap"
IDENTITY = "fdr"
PROBE_SCOPE = "fdr_probe"  # the bootstrap makes it
DAEMONS = (
    "judge-evaluator",
    "judge-repairer",
    "judge-cleaner",
    "judge-injector",
    "conveyor-submitter",
    "conveyor-poller",
    "conveyor-finisher",
    "abacus-account",
    "abacus-rse",
    "abacus-collection-replica",
    "reaper",
    "undertaker",
    "transmogrifier",
    "hermes",
)
# These keep the RSEs in memory for five minutes.
TOPOLOGY_KEEPERS = ("conveyor-submitter", "conveyor-poller", "conveyor-finisher")


def rucio_services(
    home: LakeHome, settings: Settings, storage_environment: Mapping[str, str]
) -> list[Service]:
    """Return the server, its daemons and the database's first filling, as the keeper forks them.

    ``storage_environment`` is what gfal2 needs to reach the storages, for the daemons that do.
    """
    run = {"FDR_BIND": f"{LOOPBACK}:{settings.ports['server']}", "FDR_RUN": str(home.run)}
    return [
        Service(BOOTSTRAP, (f"rucio:{BOOTSTRAP}",), priority=15),
        Service(SERVER, (f"rucio:{SERVER}",), environment=run, priority=30),
        *(
            Service(name, (f"rucio:{name}",), environment=storage_environment, priority=40)
            for name in DAEMONS
        ),
    ]


def write_server_cfg(home: LakeHome, settings: Settings, site_packages: Path) -> None:
    """Write the rucio.cfg of the server and the daemons, and what it names."""
    alembic = home.etc / "alembic.ini"
    url = postgres.database_url(home, settings)
    migrations = site_packages / "rucio" / "db" / "sqla" / "migrate_repo"
    write_private(alembic, rucio_cfg.alembic(str(migrations), url))
    traces = home.logs / "traces"
    traces.mkdir(exist_ok=True)
    parts = ServerParts(
        database_url=url,
        alembic=str(alembic),
        traces=str(traces),
        broker=broker.access(settings),
        bootstrap={
            "userpass_identity": IDENTITY,
            "userpass_pwd": settings.secrets["rucio"],
            "userpass_email": "fdr@localhost",
        },
        conveyor={"scheme": "root,davs"},
    )
    write_private(home.server_cfg, rucio_cfg.text(server_sections(parts)))


def write_client_cfg(home: LakeHome, settings: Settings, certificates: Path, bearer_token: str) -> None:
    """Write the rucio.cfg of clients: the stock Rucio ones, and fdr with its own section."""
    sections = client_sections(
        settings.server_url,
        _userpass(IDENTITY, settings.secrets["rucio"]),
        broker.access(settings),
        {account: _userpass(account, password) for account, password in settings.account_passwords.items()},
        {
            "embedded_home": str(home.directory),
            "copy_mode": "" if settings.fts_url else settings.copy_mode,
            "x509_cert_dir": str(certificates),
            "bearer_token": bearer_token,
        },
    )
    home.client_cfg.parent.mkdir(parents=True, exist_ok=True)
    write_private(home.client_cfg, rucio_cfg.text(sections))


def _userpass(identity: str, password: str) -> dict[str, str]:
    return {"auth_type": "userpass", "username": identity, "password": password}
