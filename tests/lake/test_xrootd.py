"""Promises of the lake's XRootD servers."""

from __future__ import annotations

import os
import subprocess
import tempfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fdr.errors import LakeUnusable
from fdr.lake import xrootd
from fdr.lake.certificates import Certificates
from fdr.lake.xrootd import XrootdPorts, write_xrootd, xrootd_service
from tests.xrootd_fixtures import Site, running_sites, sites

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["sites"]


def command(site: Site, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run a client command that trusts the lake's CA."""
    environment = {**os.environ, "X509_CERT_DIR": str(site.certificates.ca_dir), "RES_OPTIONS": "attempts:0"}
    return subprocess.run(arguments, env=environment, capture_output=True, timeout=60, check=False)


def put(site: Site, path: str, content: bytes, tmp_path: Path) -> None:
    """Upload over root://."""
    source = tmp_path / "source"
    source.write_bytes(content)
    done = command(site, "xrdcp", "-f", "-s", source, site.url("root", path))
    assert done.returncode == 0, done.stderr


@pytest.mark.lake
def test_what_is_put_over_root_is_read_over_https_and_is_on_disk(
    sites: tuple[Site, Site], tmp_path: Path
) -> None:
    """Both protocols show the same files, which are where storage_directory says."""
    site = sites[0]
    put(site, "scope/file", b"twelve bytes", tmp_path)
    url = site.url("davs", "scope/file").replace("davs:", "https:")
    read = command(site, "curl", "-sS", "--cacert", site.certificates.ca_file, url)
    assert read.stdout == b"twelve bytes", read.stderr
    assert (site.files / "scope/file").read_bytes() == b"twelve bytes"


@pytest.mark.lake
def test_a_server_computes_adler32(sites: tuple[Site, Site], tmp_path: Path) -> None:
    """The checksum query answers with zlib's adler32."""
    site = sites[0]
    put(site, "checksum", b"abc" * 1000, tmp_path)
    answer = command(site, "xrdfs", f"{site.host}:{site.ports.root}", "query", "checksum", "/rucio/checksum")
    assert answer.stdout.split() == [b"adler32", f"{zlib.adler32(b'abc' * 1000):08x}".encode()]


@pytest.mark.lake
def test_forty_third_party_copies_at_once_all_succeed(sites: tuple[Site, Site], tmp_path: Path) -> None:
    """Between two addresses of loopback, server to server, none is refused and none expires."""
    source, destination = sites
    put(source, "popular", b"many want it", tmp_path)

    def copy(number: int) -> subprocess.CompletedProcess[bytes]:
        target = destination.url("root", f"copies/{number}")
        return command(source, "xrdcp", "-s", "--tpc", "only", source.url("root", "popular"), target)

    with ThreadPoolExecutor(40) as pool:
        ended = list(pool.map(copy, range(40)))
    assert [done.stderr for done in ended if done.returncode] == []
    assert {file.read_bytes() for file in (destination.files / "copies").iterdir()} == {b"many want it"}
    assert len(list((destination.files / "copies").iterdir())) == 40


@pytest.mark.lake
def test_a_third_party_copy_over_https_is_pulled_by_the_destination(
    sites: tuple[Site, Site], tmp_path: Path
) -> None:
    """COPY with a Source succeeds: the destination trusts the source's certificate."""
    source, destination = sites
    put(source, "to-pull", b"pulled", tmp_path)
    url = destination.url("davs", "pulled").replace("davs:", "https:")
    copied = command(
        destination,
        *("curl", "-sS", "--cacert", destination.certificates.ca_file, "-X", "COPY"),
        *("-H", "Authorization: Bearer any", "-H", "TransferHeaderAuthorization: Bearer any"),
        *("-H", f"Source: {source.url('davs', 'to-pull').replace('davs:', 'https:')}", url),
    )
    assert b"success: Created" in copied.stdout, copied.stdout + copied.stderr
    assert (destination.files / "pulled").read_bytes() == b"pulled"


@pytest.mark.lake
def test_a_file_that_was_pulled_belongs_to_the_servers_user(sites: tuple[Site, Site], tmp_path: Path) -> None:
    """The program that pulls has no more rights than the server."""
    source, destination = sites
    put(source, "owned", b"x", tmp_path)
    target = destination.url("root", "owned")
    assert not command(source, "xrdcp", "-s", "--tpc", "only", source.url("root", "owned"), target).returncode
    assert (destination.files / "owned").stat().st_uid == destination.files.stat().st_uid


def made_up_certificates(directory: Path) -> Certificates:
    """Return paths where certificates would be."""
    return Certificates(
        directory / "ca", directory / "ca.pem", directory / "host.pem", directory / "host.key"
    )


def test_a_missing_program_is_named_with_the_packages_that_bring_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without XRootD the message says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LakeUnusable, match=r"xrootd is not installed: install xrootd-server"):
        xrootd_service("RSE", tmp_path, XrootdPorts(1, 2), made_up_certificates(tmp_path))


def test_a_directory_with_a_space_is_refused(tmp_path: Path) -> None:
    """XRootD would read half of the path."""
    with pytest.raises(LakeUnusable, match="no path with spaces"):
        write_xrootd("RSE", tmp_path / "a lake", XrootdPorts(1, 2), made_up_certificates(tmp_path))


@pytest.mark.lake
def test_the_longest_path_works_and_a_longer_one_is_refused() -> None:
    """XRootD would not start; the message says how much room there is."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        home = Path(name)
        home.chmod(0o755)
        room = xrootd.LONGEST_ADMIN_PATH - len(f"{home}/storage//admin")
        with running_sites(home, {"R" * room: "127.0.1.4"}) as made:
            assert made["R" * room].files.is_dir()
        with (
            pytest.raises(LakeUnusable, match=f"at most {xrootd.LONGEST_ADMIN_PATH} fit"),
            running_sites(home, {"R" * (room + 1): "127.0.1.4"}),
        ):
            pass


@pytest.mark.parametrize(
    ("answering", "options"),
    [
        (("attempts:0", "timeout:1 attempts:1"), "attempts:0"),
        (("timeout:1 attempts:1",), "timeout:1 attempts:1"),
    ],
)
def test_a_server_asks_the_dns_only_where_its_own_name_needs_it(
    monkeypatch: pytest.MonkeyPatch, answering: Sequence[str], options: str
) -> None:
    """No DNS where the machine's name is known without; one short question where it is not."""
    name_service(monkeypatch, answering)
    assert xrootd._resolver_options() == options


def test_a_machine_whose_name_has_no_address_is_told_what_to_add(monkeypatch: pytest.MonkeyPatch) -> None:
    """XRootD would die with 'ai_family not supported'; the message names the file and the line."""
    name_service(monkeypatch, ())
    with pytest.raises(LakeUnusable, match=f"'127.0.1.1 {os.uname().nodename}' to /etc/hosts"):
        xrootd._resolver_options()


def name_service(monkeypatch: pytest.MonkeyPatch, answering: Sequence[str]) -> None:
    """Let getent know this machine's name under these resolver options only."""

    def getent(
        arguments: Sequence[str], *, env: dict[str, str], stdout: int, check: bool
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess(arguments, 0 if env["RES_OPTIONS"] in answering else 2)

    xrootd._resolver_options.cache_clear()
    monkeypatch.setattr(subprocess, "run", getent)


@pytest.fixture(autouse=True)
def _forget_resolver_options() -> None:
    """Ask the machine again in every test."""
    xrootd._resolver_options.cache_clear()
