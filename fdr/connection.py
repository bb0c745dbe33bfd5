"""How to reach a lake, read from its rucio.cfg."""

from __future__ import annotations

import configparser
from dataclasses import dataclass, field
from pathlib import Path

from fdr.errors import LakeUnusable

ACCOUNT_SECTION = "fdr-account-"


@dataclass(frozen=True, slots=True)
class Identity:
    """How to authenticate as one account; credentials are never shown."""

    auth_type: str
    credentials: dict[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Broker:
    """The STOMP broker that carries Rucio's events."""

    host: str
    port: int
    topic: str
    user: str
    password: str = field(repr=False)
    virtual_host: str | None = None
    use_tls: bool = False


@dataclass(frozen=True, slots=True)
class Connection:
    """A lake that fdr may talk to.

    ``identity`` serves every account without one of its own in ``identities``. ``embedded_home`` is set
    when the lake is the embedded one. ``x509_cert_dir`` holds the CAs that sign its storages, and
    ``bearer_token`` is what they take, both as gfal2 wants them; None leaves gfal2's defaults.
    ``fts_bearer_token`` is what an FTS takes that fdr itself talks to.
    """

    name: str
    rucio_cfg: Path
    rucio_host: str
    auth_host: str
    ca_cert: str | bool
    account: str
    identity: Identity
    identities: dict[str, Identity]
    broker: Broker | None
    x509_cert_dir: Path | None
    bearer_token: str | None = field(repr=False)
    embedded_home: Path | None
    copy_mode: str = ""
    fts_bearer_token: str | None = field(default=None, repr=False)

    def identity_of(self, account: str) -> Identity:
        """Return how to authenticate as an account."""
        return self.identities.get(account, self.identity)


CREDENTIAL_OPTIONS = {
    "userpass": {"username": "username", "password": "password"},
    "x509": {"client_cert": "client_cert", "client_key": "client_key"},
    "x509_proxy": {"client_proxy": "client_x509_proxy"},
    "gss": {},
    "ssh": {"ssh_private_key": "ssh_private_key"},
    "oidc": {},
}


def read_connection(rucio_cfg: Path) -> Connection:
    """Read a rucio.cfg; its own ``[client]`` section, and fdr's additions in ``[fdr]``.

    ``[fdr]`` may hold ``broker_host``, ``broker_port``, ``broker_topic``, ``broker_user``,
    ``broker_password``, ``broker_virtual_host``, ``broker_use_tls``, ``x509_cert_dir``,
    ``bearer_token``, ``fts_bearer_token``; a section ``[fdr-account-NAME]`` holds the credentials of the
    account NAME, under the names they have in ``[client]``. Raises LakeUnusable when the file cannot be used.
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        with rucio_cfg.open() as file:
            parser.read_file(file)
    except OSError as error:
        raise LakeUnusable(f"{rucio_cfg}: cannot be read: {error.strerror}") from error
    except configparser.Error as error:
        raise LakeUnusable(f"{rucio_cfg}: is not a rucio.cfg: {type(error).__name__}") from error
    if not parser.has_option("client", "rucio_host"):
        raise LakeUnusable(f"{rucio_cfg}: [client] rucio_host is missing")
    client = parser["client"]
    own = parser["fdr"] if parser.has_section("fdr") else parser["DEFAULT"]
    home = own.get("embedded_home")
    return Connection(
        name="local" if home else client["rucio_host"],
        rucio_cfg=rucio_cfg.resolve(),
        rucio_host=client["rucio_host"],
        auth_host=client.get("auth_host", client["rucio_host"]),
        ca_cert=client.get("ca_cert", fallback=None) or True,
        account=client.get("account", "root"),
        identity=_identity(rucio_cfg, client),
        identities={
            section.removeprefix(ACCOUNT_SECTION): _identity(rucio_cfg, parser[section])
            for section in parser.sections()
            if section.startswith(ACCOUNT_SECTION)
        },
        broker=_broker(own),
        x509_cert_dir=Path(own["x509_cert_dir"]) if own.get("x509_cert_dir") else None,
        bearer_token=own.get("bearer_token"),
        embedded_home=Path(home) if home else None,
        copy_mode=own.get("copy_mode", ""),
        fts_bearer_token=own.get("fts_bearer_token"),
    )


def _identity(rucio_cfg: Path, section: configparser.SectionProxy) -> Identity:
    auth_type = section.get("auth_type", "userpass")
    if auth_type not in CREDENTIAL_OPTIONS:
        known = ", ".join(sorted(CREDENTIAL_OPTIONS))
        raise LakeUnusable(f"{rucio_cfg}: [{section.name}] auth_type {auth_type!r}: write one of {known}")
    options = CREDENTIAL_OPTIONS[auth_type]
    credentials = {key: section[option] for key, option in options.items() if section.get(option)}
    return Identity(auth_type, credentials)


def _broker(own: configparser.SectionProxy) -> Broker | None:
    if not own.get("broker_host"):
        return None
    return Broker(
        host=own["broker_host"],
        port=own.getint("broker_port", 61613),
        topic=own.get("broker_topic", "/topic/rucio.events"),
        user=own.get("broker_user", ""),
        password=own.get("broker_password", ""),
        virtual_host=own.get("broker_virtual_host"),
        use_tls=own.getboolean("broker_use_tls", False),
    )
