"""What was chosen once for an embedded lake and must not change: ports, addresses, passwords."""

from __future__ import annotations

import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fdr.errors import LakeUnusable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOOPBACK = "127.0.0.1"
PORT_NAMES = ("server", "broker", "fts")
SECRET_NAMES = ("database", "rucio", "broker")
PREFIXES = {"root": "//rucio/", "davs": "/rucio/"}  # where the files are below a storage's address
COPY_MODES = ("third-party", "streamed")


@dataclass(frozen=True, slots=True)
class Site:
    """Where the storage of one RSE listens. ``protocols`` are in order of preference."""

    rse: str
    address: str
    root_port: int
    davs_port: int
    protocols: tuple[str, ...]

    def port(self, scheme: str) -> int:
        """Return the port of a protocol, ``root`` or ``davs``."""
        return self.root_port if scheme == "root" else self.davs_port


@dataclass(frozen=True, slots=True)
class Settings:
    """The lake's own choices, as ``lake.json`` keeps them.

    ``secrets`` are the passwords of services, ``account_passwords`` those of Rucio accounts; neither
    is ever shown. ``fts_url`` names an FTS that is there already; None means the stand-in.
    """

    ports: Mapping[str, int]
    copy_mode: str
    fts_url: str | None = None
    sites: Mapping[str, Site] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    account_passwords: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def server_url(self) -> str:
        """The URL of the Rucio server."""
        return f"http://{LOOPBACK}:{self.ports['server']}"

    @property
    def taken(self) -> set[int]:
        """The ports that this lake uses."""
        at_sites = {port for site in self.sites.values() for port in (site.root_port, site.davs_port)}
        return at_sites | set(self.ports.values())

    @property
    def fts(self) -> str:
        """The URL of the FTS that serves the lake."""
        return self.fts_url or f"http://{LOOPBACK}:{self.ports['fts']}"

    def redact(self, text: str) -> str:
        """Return the text with every secret of the lake replaced by stars."""
        for secret in (*self.secrets.values(), *self.account_passwords.values()):
            text = text.replace(secret, "***")
        return text


def new_settings(copy_mode: str, fts_url: str | None) -> Settings:
    """Choose ports and passwords for a new lake."""
    ports: dict[str, int] = {}
    for name in PORT_NAMES:
        ports[name] = free_port(LOOPBACK, set(ports.values()))
    return Settings(
        ports=ports,
        copy_mode=copy_mode,
        fts_url=fts_url,
        secrets={name: new_password() for name in SECRET_NAMES},
    )


def new_password() -> str:
    """Return a password that is safe in URLs and configuration files."""
    return secrets.token_hex(20)


def read_settings(path: Path) -> Settings | None:
    """Read ``lake.json``; None when there is none. Raises LakeUnusable when it is damaged."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        sites = {
            name: Site(**{**site, "protocols": tuple(site["protocols"])})
            for name, site in content.pop("sites").items()
        }
        return Settings(sites=sites, **content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise LakeUnusable(
            f"{path}: cannot be used ({type(error).__name__}): remove the lake with 'fdr lake reset'"
        ) from error


def write_settings(path: Path, settings: Settings) -> None:
    """Write ``lake.json`` so that only its owner can read it, whole or not at all."""
    write_private(path, json.dumps(asdict(settings), indent=1))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    new = path.with_name(path.name + ".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    new.replace(path)


def with_sites(settings: Settings, wanted: Mapping[str, tuple[str, ...]]) -> Settings:
    """Return the settings with a site for every RSE wanted, given its protocols; others stay as they are.

    Every RSE has a loopback address of its own (127.0.1.1, 127.0.1.2, …), because FTS tells storages
    apart by host and not by port.
    """
    for rse, protocols in wanted.items():
        site = settings.sites.get(rse)
        if site is None:
            address = _free_address({site.address for site in settings.sites.values()})
            root = free_port(address, settings.taken)
            davs = free_port(address, settings.taken | {root})
            site = Site(rse, address, root, davs, protocols)
        settings = replace(settings, sites={**settings.sites, rse: replace(site, protocols=protocols)})
    return settings


def with_free_ports(settings: Settings) -> Settings:
    """Return the settings with every port that something else has taken replaced by a free one."""
    for name, port in settings.ports.items():
        if not is_free(LOOPBACK, port):
            settings = replace(settings, ports={**settings.ports, name: free_port(LOOPBACK, settings.taken)})
    for name in settings.sites:
        site = settings.sites[name]
        if not is_free(site.address, site.root_port):
            site = replace(site, root_port=free_port(site.address, settings.taken))
        if not is_free(site.address, site.davs_port):
            site = replace(site, davs_port=free_port(site.address, settings.taken | {site.root_port}))
        settings = replace(settings, sites={**settings.sites, name: site})
    return settings


def _free_address(taken: set[str]) -> str:
    for number in range(1, 65024):
        address = f"127.0.{1 + number // 255}.{number % 255}"
        if address not in taken and not address.endswith(".0"):
            return address
    raise LakeUnusable("an embedded lake holds at most 65000 RSEs")


def free_port(address: str, taken: set[int]) -> int:
    """Return a TCP port that is not taken and is free at this address now.

    It is below the range of outgoing connections, and free at every address, because XRootD listens
    on all of them.
    """
    for _ in range(1000):
        port = 20000 + secrets.randbelow(12000)
        if port not in taken and is_free(address, port):
            return port
    raise LakeUnusable(f"no free TCP port was found at {address}")


def is_free(address: str, port: int) -> bool:
    """Tell whether nothing listens on the port, at this address or at all of them."""
    for host in {address, "0.0.0.0"}:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True
