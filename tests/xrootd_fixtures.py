"""Real XRootD servers for tests, two of them, started as the lake starts them."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fdr.lake.certificates import Certificates, make_certificates
from fdr.lake.xrootd import XrootdPorts, storage_directory, write_xrootd, xrootd_service, xrootd_user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fdr.lake.service import Service

START_WITHIN_S = 30


@dataclass(frozen=True, slots=True)
class Site:
    """A running server and where it keeps its files."""

    rse: str
    host: str
    ports: XrootdPorts
    directory: Path
    certificates: Certificates
    process: subprocess.Popen[bytes]

    @property
    def files(self) -> Path:
        """Where its files are on disk."""
        return storage_directory(self.rse, self.directory)

    def url(self, scheme: str, path: str) -> str:
        """Return the URL of a file by its path below /rucio."""
        if scheme == "root":
            return f"root://{self.host}:{self.ports.root}//rucio/{path}"
        return f"davs://{self.host}:{self.ports.http}/rucio/{path}"


def free_ports(count: int) -> list[int]:
    """Return TCP ports that nothing listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("0.0.0.0", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@contextmanager
def running(service: Service, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a service as the lake's supervisor would, until the block ends."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            service.command,
            env={**os.environ, **service.environment},
            cwd="/",
            stdout=output,
            stderr=subprocess.STDOUT,
            user=service.user,
            group=pwd.getpwnam(service.user).pw_gid if service.user else None,
            extra_groups=[] if service.user else None,
        )
    try:
        yield process
    finally:
        process.send_signal(getattr(signal, f"SIG{service.stop_signal}"))
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_port(process: subprocess.Popen[bytes], host: str, port: int, log: Path) -> None:
    """Wait until something listens; fail with the end of the log if the process dies first."""
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((host, port)) == 0:
                return
        time.sleep(0.02)
    pytest.fail(f"no server at {host}:{port}: {log.read_text()[-2000:]}")


@contextmanager
def running_sites(home: Path, rses: dict[str, str]) -> Iterator[dict[str, Site]]:
    """Run one server for each RSE at its address; all end with the block."""
    certificates = make_certificates(home / "certificates", host_key_owner=xrootd_user())
    storage = home / "storage"
    sites: dict[str, Site] = {}
    with ExitStack() as servers:
        for rse, host in rses.items():
            ports = XrootdPorts(*free_ports(2))
            write_xrootd(rse, storage, ports, certificates)
            log = storage / f"{rse}.log"
            service = xrootd_service(rse, storage, ports, certificates)
            process = servers.enter_context(running(service, log))
            sites[rse] = Site(rse, host, ports, storage, certificates, process)
            await_port(process, host, ports.root, log)
            await_port(process, host, ports.http, log)
        yield sites


@pytest.fixture(scope="session")
def sites() -> Iterator[tuple[Site, Site]]:
    """Two servers, at 127.0.1.1 and 127.0.1.2, in a directory that their user can enter."""
    with tempfile.TemporaryDirectory(prefix="fdr-xrootd-", dir="/var/tmp") as name:
        home = Path(name)
        home.chmod(0o755)
        with running_sites(home, {"ALPHA": "127.0.1.1", "BETA": "127.0.1.2"}) as made:
            yield made["ALPHA"], made["BETA"]


@contextmanager
def silent_server() -> Iterator[int]:
    """Listen at all loopback addresses and never say a word; yields the port."""
    with socket.socket() as listening:
        listening.bind(("0.0.0.0", 0))
        listening.listen(50)
        yield listening.getsockname()[1]
