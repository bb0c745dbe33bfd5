"""How a probe authenticates to an FTS: a token, or a certificate, and whom it trusts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fdr.connection import Connection

GRID_CAS = Path("/etc/grid-security/certificates")


@dataclass(frozen=True, slots=True)
class Login:
    """Credentials for an FTS; neither tokens nor keys are ever shown.

    ``certificate`` and ``key`` are PEM files, the same one for a proxy. ``storage_token`` is what FTS shows
    to storages when it is asked with a token itself. ``authorities`` is a directory or a file of CAs, or
    True for those of the system.
    """

    token: str | None = field(default=None, repr=False)
    certificate: str = ""
    key: str = ""
    storage_token: str | None = field(default=None, repr=False)
    authorities: str | bool = True


def login_for(connection: Connection, environment: Mapping[str, str] | None = None) -> Login:
    """Return how to authenticate to the FTS of a lake.

    A token of the rucio.cfg goes first, then the proxy or certificate that gfal2 would take, then that of
    ``[client]``.
    """
    environment = os.environ if environment is None else environment
    certificate, key = _certificate(connection, environment)
    token = connection.fts_bearer_token
    return Login(
        token=token,
        certificate="" if token else certificate,
        key="" if token else key,
        storage_token=connection.bearer_token if token else None,
        authorities=_authorities(connection, environment),
    )


def _certificate(connection: Connection, environment: Mapping[str, str]) -> tuple[str, str]:
    if proxy := environment.get("X509_USER_PROXY"):
        return proxy, proxy
    usual = Path(f"/tmp/x509up_u{os.geteuid()}")
    if usual.is_file():
        return str(usual), str(usual)
    if certificate := environment.get("X509_USER_CERT"):
        return certificate, environment.get("X509_USER_KEY", certificate)
    credentials = connection.identity.credentials
    if proxy := credentials.get("client_proxy", ""):
        return proxy, proxy
    certificate = credentials.get("client_cert", "")
    return certificate, credentials.get("client_key", certificate)


def _authorities(connection: Connection, environment: Mapping[str, str]) -> str | bool:
    for directory in (connection.x509_cert_dir, environment.get("X509_CERT_DIR"), GRID_CAS):
        if directory and Path(directory).is_dir():
            return str(directory)
    return True
