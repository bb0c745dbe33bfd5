"""What stands in the rucio.cfg of a lake's server, daemons and clients, wherever they run."""

from __future__ import annotations

import configparser
import io
from collections.abc import Mapping
from dataclasses import dataclass, field

Sections = Mapping[str, Mapping[str, str]]
EVENTS = "/topic/rucio.events"
TRACES = "/topic/rucio.traces"
POLICY = {"permission": "generic", "schema": "generic"}
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


@dataclass(frozen=True, slots=True)
class BrokerAccess:
    """Where Rucio's events go, and who may send and take them."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    virtual_host: str


@dataclass(frozen=True, slots=True)
class ServerParts:
    """What the server and the daemons need to know.

    ``bootstrap`` is root's identity, ``conveyor`` how requests become transfers.
    """

    database_url: str = field(repr=False)
    alembic: str
    traces: str
    broker: BrokerAccess
    bootstrap: Mapping[str, str] = field(repr=False)
    conveyor: Mapping[str, str]


def server_sections(parts: ServerParts) -> Sections:
    """Return the rucio.cfg of the server and the daemons."""
    broker = parts.broker
    port = str(broker.port)
    address = {
        "brokers": broker.host,
        "username": broker.user,
        "password": broker.password,
        "broker_virtual_host": broker.virtual_host,
    }
    return {
        "common": {"loglevel": "INFO"},
        "cache": {"url": "127.0.0.1:1"},  # none: a memcached of this machine is not ours
        "database": {
            "default": parts.database_url,
            "pool_size": "5",
            "max_overflow": "15",
            "pool_timeout": "30",
            "pool_recycle": "3600",
        },
        # empty: Rucio's built-in ones are known to everybody
        "bootstrap": {
            **dict.fromkeys(("userpass_identity", "x509_identity", "gss_identity", "ssh_identity"), ""),
            **parts.bootstrap,
        },
        "alembic": {"cfg": parts.alembic},
        "policy": POLICY,
        "conveyor": {"use_deterministic_id": "True", "transfertool": "fts3", **parts.conveyor},
        "hermes": {"services_list": "activemq"},
        "messaging-hermes": {
            **address,
            "use_ssl": "False",
            "port": port,
            "nonssl_port": port,
            "destination": EVENTS,
        },
        "trace": {
            **address,
            "port": port,
            "topic": TRACES,
            "tracedir": parts.traces,
            "maxbytes": "10000000",
            "backupCount": "1",
        },
    }


def client_sections(
    url: str,
    identity: Mapping[str, str],
    broker: BrokerAccess,
    accounts: Mapping[str, Mapping[str, str]],
    fdr: Mapping[str, str],
) -> Sections:
    """Return the rucio.cfg of clients: the stock Rucio ones, and fdr with its own sections.

    ``identity`` is how root authenticates, ``accounts`` how others do; ``fdr`` is more for fdr itself.
    """
    return {
        "common": {"loglevel": "WARNING"},
        "client": {
            "rucio_host": url,
            "auth_host": url,
            "account": "root",
            **identity,
            "request_retries": "3",
        },
        "policy": POLICY,
        "fdr": {
            "broker_host": broker.host,
            "broker_port": str(broker.port),
            "broker_topic": EVENTS,
            "broker_user": broker.user,
            "broker_password": broker.password,
            "broker_virtual_host": broker.virtual_host,
            **fdr,
        },
        **{f"fdr-account-{account}": own for account, own in accounts.items()},
    }


def text(sections: Sections) -> str:
    """Return the file with these sections. It may hold secrets: keep it private."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_dict(sections)
    file = io.StringIO()
    parser.write(file)
    return file.getvalue()


def alembic(migrations: str, url: str) -> str:
    """Return the alembic.ini that Rucio makes its database with."""
    return ALEMBIC.format(migrations=migrations, url=url)
