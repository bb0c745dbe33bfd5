"""The storages of a lake: one XRootD server an RSE, and the proof that files can be put and read there."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fdr.errors import LakeUnusable
from fdr.lake import readiness
from fdr.lake.certificates import Certificates, make_certificates
from fdr.lake.install import lake_python
from fdr.lake.settings import PREFIXES
from fdr.lake.supervision import Keeper
from fdr.lake.xrootd import XrootdPorts, write_xrootd, xrootd_service, xrootd_user
from fdr.storage.gfal_context import gfal_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fdr.lake.home import LakeHome
    from fdr.lake.service import Service
    from fdr.lake.settings import Settings, Site

PROBE = Path(__file__).with_name("probe.py")
PROBE_TIMEOUT_S = 60
PROBE_TRIES = 3  # XRootD 5.5.3 was seen to break off a TLS answer on a busy machine ("bad length" in its log)
BEARER_TOKEN = "fdr"  # the servers let in whoever is on this machine; gfal2 copies over davs only with one


def lake_certificates(home: LakeHome) -> Certificates:
    """Make the lake's certificates, or keep those that are good."""
    return make_certificates(home.directory / "certificates", host_key_owner=xrootd_user())


def storage_root(home: LakeHome) -> Path:
    """Return the directory below which every RSE has one."""
    return home.directory / "storage"


def client_environment(certificates: Certificates) -> dict[str, str]:
    """Return what gfal2 and XRootD's clients need in their environment to reach the storages.

    XRootD's own time-outs are minutes; a dead server of a lake on this machine is known in seconds.
    """
    return {
        "X509_CERT_DIR": str(certificates.ca_dir),
        "BEARER_TOKEN": BEARER_TOKEN,
        "XRD_CONNECTIONWINDOW": "5",
        "XRD_CONNECTIONRETRY": "1",
        "XRD_REQUESTTIMEOUT": "60",
        "XRD_STREAMTIMEOUT": "30",
    }


def service_environment(certificates: Certificates) -> dict[str, str]:
    """Return what the lake's own users of gfal2 need: those who reach nothing but the lake's storages."""
    return client_environment(certificates) | gfal_environment(
        PROBE_TIMEOUT_S, certificates.ca_dir, loopback_only=True
    )


def storage_services(home: LakeHome, settings: Settings) -> list[Service]:
    """Write the configuration of every storage and return them as the keeper runs them."""
    certificates = lake_certificates(home)
    root = storage_root(home)
    root.mkdir(mode=0o711, exist_ok=True)
    services = []
    for site in settings.sites.values():
        ports = XrootdPorts(root=site.root_port, http=site.davs_port)
        write_xrootd(site.rse, root, ports, certificates)
        services.append(xrootd_service(site.rse, root, ports, certificates, priority=20))
    return services


def start(home: LakeHome, settings: Settings, say: Callable[[str], None]) -> None:
    """Start the storages that do not run, and return when all answer. Raises LakeUnusable."""
    keeper = Keeper(home)
    processes = keeper.processes()
    starting = [site for site in settings.sites.values() if not processes[f"xrootd-{site.rse}"].pid]
    keeper.begin(f"xrootd-{site.rse}" for site in starting)
    if starting:
        wait(home, settings, starting, say)


def wait(home: LakeHome, settings: Settings, sites: Iterable[Site], say: Callable[[str], None]) -> None:
    """Wait until these storages listen; then put, sum, read and delete a file by each of their protocols."""
    sites = list(sites)
    if not sites:
        return
    say(f"waiting for {len(sites)} storages")
    _await_listening(home, settings, sites)
    say(f"putting, reading and deleting a file at {len(sites)} storages")
    prove(home, settings, sites)


def _await_listening(home: LakeHome, settings: Settings, sites: Iterable[Site]) -> None:
    keeper = Keeper(home)
    for site in sites:
        name = f"xrootd-{site.rse}"
        readiness.wait_for(home, settings, name, partial(_listens, site), alive=partial(keeper.keeps, name))


def _listens(site: Site) -> bool:
    for port in (site.root_port, site.davs_port):
        try:
            socket.create_connection((site.address, port), timeout=2).close()
        except OSError:
            return False
    return True


def prove(home: LakeHome, settings: Settings, sites: Iterable[Site]) -> None:
    """Put, sum, read and delete a file at each storage by each protocol; what fails is tried again.

    A storage that gives no answer is started anew before that. Raises LakeUnusable with the end of the
    storage's log when one fails PROBE_TRIES times.
    """
    urls = {
        f"{scheme}://{site.address}:{site.port(scheme)}{PREFIXES[scheme]}fdr-probe/{scheme}": site.rse
        for site in sites
        for scheme in site.protocols
    }
    failures: dict[str, str | None] = dict.fromkeys(urls, "")
    for _ in range(PROBE_TRIES):
        _start_anew(home, settings, {urls[url] for url, reason in failures.items() if reason is None})
        failures = _failures(home, settings, list(failures))
        if not failures:
            return
    url, reason = next(iter(failures.items()))
    reason = reason or f"no answer within {PROBE_TIMEOUT_S} s"
    log = readiness.log_end(home, settings, f"xrootd-{urls[url]}")
    raise LakeUnusable(f"{url}: {settings.redact(reason)}.{log}")


def _start_anew(home: LakeHome, settings: Settings, rses: set[str]) -> None:
    """Restart storages that do not answer: XRootD 5.5.3 was seen to start deaf to TLS."""
    if not rses:
        return
    Keeper(home).restart(f"xrootd-{rse}" for rse in rses)
    _await_listening(home, settings, [settings.sites[rse] for rse in rses])


def _failures(home: LakeHome, settings: Settings, urls: list[str]) -> dict[str, str | None]:
    """Run the probe in the lake's environment, so that ours keeps its own certificates and settings."""
    try:
        done = subprocess.run(
            [str(lake_python()), "-P", str(PROBE), *urls],
            env={**os.environ, **service_environment(lake_certificates(home))},
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LakeUnusable(f"the storages did not take a file within {PROBE_TIMEOUT_S} s") from error
    if done.returncode != 0:
        said = done.stderr.strip() or "it ended without a word"
        raise LakeUnusable(f"the probe of the storages: {settings.redact(said.splitlines()[-1])}.")
    failures: dict[str, str | None] = json.loads(done.stdout)
    return failures
