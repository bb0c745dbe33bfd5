"""The XRootD servers of the embedded lake, one for each RSE.

A server offers the files below ``directory``/RSE/data/rucio as ``root://HOST:PORT//rucio/…`` and
``davs://HOST:PORT/rucio/…``. HOST is the RSE's own loopback address (127.0.1.1, 127.0.1.2, …): FTS tells
storages apart by scheme and host. Only clients on this machine that call a loopback address are let in.

What a client must set: ``X509_CERT_DIR`` to the certificates' ``ca_dir``, and for third-party copies over
``davs://`` a bearer token for both ends, any token. ``fdr.storage.gfal.gfal_context`` and
``gfal_environment`` do both. A third-party copy over ``root://`` takes 2.5 s at least, in which XRootD's
client sleeps: start many at once.
"""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fdr.errors import LakeUnusable
from fdr.lake import xrootd_cfg
from fdr.lake.service import Service

if TYPE_CHECKING:
    from fdr.lake.certificates import Certificates

XROOTD_USER = "xrootd"
DEAD_SERVER_S = 30  # after so long without an answer a pulling server gives up the source
LONGEST_ADMIN_PATH = 91  # XRootD 5.5.3 makes Unix sockets below it

NO_DNS = "attempts:0"
LITTLE_DNS = "timeout:1 attempts:1"

# The source lets a destination pull only if the address it calls from bears the name of the address it
# was announced at. A server of ours is announced at 127.0.1.N and calls from 127.0.0.1, as everything on
# loopback does, so it asks as any client may, without the key of the rendezvous.
PULLER = """\
#!/bin/sh
# Written by fdr: pull one file. XRootD calls this with options, SOURCE?KEYS and DESTINATION.
left=$#
for argument do
    shift
    left=$((left - 1))
    [ "$left" -eq 1 ] && argument=${{argument%%\\?*}}
    set -- "$@" "$argument"
done
exec {xrdcp} --server "$@"
"""


@dataclass(frozen=True, slots=True)
class XrootdPorts:
    """The TCP ports of one server; ``http`` is the one of davs://."""

    root: int
    http: int


def xrootd_user() -> str | None:
    """Return the system user that the servers run as: xrootd for root, None (ourselves) for others."""
    return XROOTD_USER if os.geteuid() == 0 else None


def xrootd_service(
    rse: str, directory: Path, ports: XrootdPorts, certificates: Certificates, priority: int = 100
) -> Service:
    """Return the server of an RSE, as the supervisor runs it; it logs to standard error.

    ``directory`` holds one directory for each RSE. Call ``write_xrootd`` with the same arguments before
    the server starts. Raises LakeUnusable when XRootD is not installed, or cannot start on this machine.
    """
    return Service(
        name=f"xrootd-{rse}",
        command=(_program("xrootd"), "-c", str(_configuration_file(directory, rse))),
        environment={
            "X509_CERT_DIR": str(certificates.ca_dir),
            "RES_OPTIONS": _resolver_options(),
            "XRD_CONNECTIONWINDOW": "5",
            "XRD_CONNECTIONRETRY": "1",
            "XRD_REQUESTTIMEOUT": str(DEAD_SERVER_S),
            "XRD_STREAMTIMEOUT": str(DEAD_SERVER_S),
        },
        user=xrootd_user(),
        priority=priority,
    )


def write_xrootd(rse: str, directory: Path, ports: XrootdPorts, certificates: Certificates) -> None:
    """Write the configuration of the server of an RSE and make its directories.

    Files that are there stay. Raises LakeUnusable when XRootD is not installed or the directory cannot be
    written.
    """
    home = directory / rse
    puller = home / "pull"
    for path in (home, certificates.host_key, certificates.ca_dir):
        if any(character.isspace() for character in str(path)):
            raise LakeUnusable(f"{path}: XRootD takes no path with spaces in it: choose another directory")
    data, admin = home / "data", home / "admin"
    if len(str(admin)) > LONGEST_ADMIN_PATH:
        raise LakeUnusable(
            f"{admin}: too long for XRootD's sockets ({len(str(admin))} characters, at most "
            f"{LONGEST_ADMIN_PATH} fit): choose a shorter directory for the lake, or a shorter RSE name"
        )
    configuration = xrootd_cfg.text(
        xrootd_cfg.storage(data, admin, ports.root),
        xrootd_cfg.LOOPBACK_ONLY,
        xrootd_cfg.third_party(str(puller), with_credentials=False),
        xrootd_cfg.https(ports.http, certificates.host_cert, certificates.host_key, certificates.ca_dir),
    )
    try:
        for owned in (data, data / "rucio", admin):
            owned.mkdir(parents=True, exist_ok=True)
            _give_to_xrootd(owned)
        _configuration_file(directory, rse).write_text(configuration)
        puller.write_text(PULLER.format(xrdcp=shlex.quote(_program("xrdcp"))))
        puller.chmod(0o755)
    except OSError as error:
        raise LakeUnusable(f"{home}: the RSE's directory cannot be written: {error.strerror}") from error


def storage_directory(rse: str, directory: Path) -> Path:
    """Return where the files of an RSE are on disk: what URLs call ``/rucio``."""
    return directory / rse / "data" / "rucio"


def _configuration_file(directory: Path, rse: str) -> Path:
    return directory / rse / "xrootd.cfg"


def _give_to_xrootd(path: Path) -> None:
    user = xrootd_user()
    if user is None:
        return
    try:
        shutil.chown(path, user=user, group=user)
    except LookupError as error:
        raise LakeUnusable(
            f"there is no system user {user!r}, as whom XRootD runs for root: install xrootd-server"
        ) from error


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise LakeUnusable(
            f"{name} is not installed: install xrootd-server, xrootd-server-plugins, xrootd-plugins and "
            "xrootd-client (Debian, Ubuntu) or xrootd-server and xrootd-client (EL 9, from EPEL)"
        )
    return found


@functools.cache
def _resolver_options() -> str:
    """Return the RES_OPTIONS with which a server asks the DNS as little as this machine allows.

    A server looks up the name of every loopback address it meets, which no DNS knows; where the DNS is
    slow or silent, each third-party copy would wait 5 s and more for that. Without DNS the server can do
    only if the machine's own name is known without it, as in /etc/hosts: XRootD does not start otherwise.
    """
    for options in (NO_DNS, LITTLE_DNS):
        own_name = os.uname().nodename
        found = subprocess.run(
            ["getent", "ahosts", own_name],
            env={**os.environ, "RES_OPTIONS": options},
            stdout=subprocess.DEVNULL,
            check=False,
        )
        if found.returncode == 0:
            return options
    raise LakeUnusable(
        f"this machine's own name, {own_name!r}, has no address, and XRootD does not start without one: "
        f"add the line '127.0.1.1 {own_name}' to /etc/hosts"
    )
