"""The Rucio server and its fourteen daemons, and the rucio.cfg that they share."""

from __future__ import annotations

import configparser
import io
from typing import TYPE_CHECKING

from fdr.lake import broker, postgres
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
ALEMBIC = """[alembic]
script_location = {migrations}
sqlalchemy.url = {url}
[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = plain
[logger_root]
level = WARN
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = plain
[formatter_plain]
format = %(levelname)s %(message)s
"""


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
    migrations = site_packages / "rucio" / "db" / "sqla" / "migrate_repo"
    write_private(alembic, ALEMBIC.format(migrations=migrations, url=postgres.database_url(home, settings)))
    traces = home.logs / "traces"
    traces.mkdir(exist_ok=True)
    address = {
        "brokers": LOOPBACK,
        "username": broker.USER,
        "password": settings.secrets["broker"],
        "broker_virtual_host": broker.VIRTUAL_HOST,
    }
    port = str(settings.ports["broker"])
    _write(
        home.server_cfg,
        {
            "common": {"loglevel": "INFO"},
            "cache": {"url": f"{LOOPBACK}:1"},  # none: a memcached of this machine is not ours
            "database": {
                "default": postgres.database_url(home, settings),
                "pool_size": "5",
                "max_overflow": "15",
                "pool_timeout": "30",
                "pool_recycle": "3600",
            },
            "bootstrap": {
                "userpass_identity": IDENTITY,
                "userpass_pwd": settings.secrets["rucio"],
                "userpass_email": "fdr@localhost",
                # empty: Rucio's built-in ones are known to everybody
                "x509_identity": "",
                "gss_identity": "",
                "ssh_identity": "",
            },
            "alembic": {"cfg": str(alembic)},
            "policy": {"permission": "generic", "schema": "generic"},
            "conveyor": {"scheme": "root,davs", "use_deterministic_id": "True", "transfertool": "fts3"},
            "hermes": {"services_list": "activemq"},
            "messaging-hermes": {
                **address,
                "use_ssl": "False",
                "port": port,
                "nonssl_port": port,
                "destination": broker.EVENTS,
            },
            "trace": {
                **address,
                "port": port,
                "topic": broker.TRACES,
                "tracedir": str(traces),
                "maxbytes": "10000000",
                "backupCount": "1",
            },
        },
    )


def write_client_cfg(home: LakeHome, settings: Settings, certificates: Path, bearer_token: str) -> None:
    """Write the rucio.cfg of clients: the stock Rucio ones, and fdr with its own section."""
    sections = {
        "common": {"loglevel": "WARNING"},
        "client": {
            "rucio_host": settings.server_url,
            "auth_host": settings.server_url,
            "account": "root",
            "auth_type": "userpass",
            "username": IDENTITY,
            "password": settings.secrets["rucio"],
            "request_retries": "3",
        },
        "policy": {"permission": "generic", "schema": "generic"},
        "fdr": {
            "embedded_home": str(home.directory),
            "copy_mode": "" if settings.fts_url else settings.copy_mode,
            "broker_host": LOOPBACK,
            "broker_port": str(settings.ports["broker"]),
            "broker_topic": broker.EVENTS,
            "broker_user": broker.USER,
            "broker_password": settings.secrets["broker"],
            "broker_virtual_host": broker.VIRTUAL_HOST,
            "x509_cert_dir": str(certificates),
            "bearer_token": bearer_token,
        },
    }
    for account, password in settings.account_passwords.items():
        sections[f"fdr-account-{account}"] = {
            "auth_type": "userpass",
            "username": account,
            "password": password,
        }
    home.client_cfg.parent.mkdir(parents=True, exist_ok=True)
    _write(home.client_cfg, sections)


def _write(path: Path, sections: Mapping[str, Mapping[str, str]]) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_dict(sections)
    text = io.StringIO()
    parser.write(text)
    write_private(path, text.getvalue())
