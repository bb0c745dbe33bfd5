"""Promises of the lake's certificates."""

from __future__ import annotations

import ssl
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from fdr.errors import LakeUnusable
from fdr.lake import certificates
from fdr.lake.certificates import LOOPBACK_NAMES, make_certificates, make_user
from fdr.lake.signing import KeyKind

if TYPE_CHECKING:
    from pathlib import Path

    from fdr.lake.certificates import Certificates


def handshake(made: Certificates, trusted: Path, host: str) -> None:
    """Do a TLS handshake in memory with the host certificate; raises ssl.SSLError if it is refused."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(made.host_cert, made.host_key)
    client_context = ssl.create_default_context(capath=str(trusted))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=host)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    client.do_handshake()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "127.0.1.1", "127.0.1.64"])
def test_a_client_that_trusts_the_ca_directory_accepts_every_loopback_name(tmp_path: Path, host: str) -> None:
    """OpenSSL finds the CA under its hash link and accepts the host by each of its names."""
    made = make_certificates(tmp_path)
    handshake(made, made.ca_dir, host)


def test_a_name_that_was_not_asked_for_is_refused(tmp_path: Path) -> None:
    """The host certificate is good for its names only."""
    made = make_certificates(tmp_path, ["localhost"])
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(made, made.ca_dir, "127.0.1.1")


def test_a_client_that_trusts_another_lake_refuses_this_one(tmp_path: Path) -> None:
    """Two lakes have two CAs, though of the same name."""
    made = make_certificates(tmp_path / "one")
    other = make_certificates(tmp_path / "two")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(made, other.ca_dir, "localhost")


def test_the_hash_link_is_the_one_that_openssl_computes(tmp_path: Path) -> None:
    """The link has the name that the openssl command gives."""
    made = make_certificates(tmp_path)
    openssl = ["openssl", "x509", "-hash", "-noout", "-in", str(made.ca_file)]
    told = subprocess.run(openssl, check=True, capture_output=True, text=True).stdout.strip()
    assert (made.ca_dir / f"{told}.0").read_bytes() == made.ca_file.read_bytes()


def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    """Every private key has mode 600, and the CA's is not where clients look."""
    made = make_certificates(tmp_path)
    keys = [file for file in tmp_path.rglob("*") if file.is_file() and b"PRIVATE KEY" in file.read_bytes()]
    assert {file.name for file in keys} == {"ca.key", "host.key"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in keys} == {0o600}
    assert all(file.parent != made.ca_dir for file in keys)


def test_making_certificates_again_changes_nothing(tmp_path: Path) -> None:
    """What is good is kept, byte by byte."""

    def contents() -> dict[str, bytes]:
        return {str(file): file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

    make_certificates(tmp_path)
    first = contents()
    make_certificates(tmp_path)
    assert contents() == first


def test_a_new_name_renews_the_host_certificate_and_keeps_the_ca(tmp_path: Path) -> None:
    """More names than before: a new host certificate, from the CA that clients know."""
    before = make_certificates(tmp_path, ["localhost"]).ca_file.read_bytes()
    made = make_certificates(tmp_path, ["localhost", "127.0.2.9"])
    assert made.ca_file.read_bytes() == before
    handshake(made, made.ca_dir, "127.0.2.9")


@pytest.mark.parametrize("lifetime", ["CA_LIFETIME", "CERTIFICATE_LIFETIME"])
def test_what_ends_soon_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lifetime: str) -> None:
    """A certificate with less than 30 days to go is replaced, and the new pair works."""
    with monkeypatch.context() as patch:
        patch.setattr(certificates, lifetime, timedelta(days=29))
        make_certificates(tmp_path)
    made = make_certificates(tmp_path)
    for file in (made.ca_file, made.host_cert):
        ends = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
        assert ends - datetime.now(UTC) > timedelta(days=300)
    handshake(made, made.ca_dir, "localhost")


def test_a_broken_file_is_made_again(tmp_path: Path) -> None:
    """Half a certificate from a full disk does not stop the next start."""
    made = make_certificates(tmp_path)
    made.host_cert.write_bytes(made.host_cert.read_bytes()[:100])
    again = make_certificates(tmp_path)
    handshake(again, again.ca_dir, "localhost")


def test_a_directory_that_cannot_be_written_is_a_lake_that_cannot_be_used(tmp_path: Path) -> None:
    """The message names the directory."""
    (tmp_path / "file").write_text("")
    with pytest.raises(LakeUnusable, match=str(tmp_path / "file")):
        make_certificates(tmp_path / "file", LOOPBACK_NAMES)


def openssl(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Ask the openssl command."""
    return subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)


def test_a_proxy_is_good_where_its_user_is_and_only_where_proxies_are_wanted(tmp_path: Path) -> None:
    """OpenSSL takes the proxy of a user of the CA by RFC 3820, and refuses it as an ordinary certificate."""
    made = make_certificates(tmp_path, ["localhost"], kind=KeyKind.RSA)
    user = make_user(tmp_path, made, "somebody")
    assert user.name == "/CN=somebody"
    verify = ["verify", "-CAfile", made.ca_file, "-untrusted", user.cert]
    assert openssl(*verify, "-allow_proxy_certs", user.proxy).returncode == 0
    assert "proxy certificates not allowed" in openssl(*verify, user.proxy).stderr
    shown = openssl("x509", "-in", user.proxy, "-noout", "-text").stdout
    assert "Proxy Certificate Information: critical" in shown
    assert "Policy Language: Inherit all" in shown


def test_a_user_stays_and_its_proxy_is_new_each_time(tmp_path: Path) -> None:
    """The proxy lives for days only, so that a lake that starts again needs a fresh one; all keys are RSA."""
    made = make_certificates(tmp_path, ["localhost"], kind=KeyKind.RSA)
    first = make_user(tmp_path, made, "somebody")
    kept = first.both.read_bytes()
    proxy = first.proxy.read_bytes()
    again = make_user(tmp_path, made, "somebody")
    assert again.both.read_bytes() == kept == first.cert.read_bytes() + first.key.read_bytes()
    assert again.proxy.read_bytes() != proxy
    assert stat.S_IMODE(again.proxy.stat().st_mode) == stat.S_IMODE(again.both.stat().st_mode) == 0o600
    for key in (made.host_key, tmp_path / "ca.key", first.key):
        assert key.read_text().startswith("-----BEGIN RSA PRIVATE KEY-----")


def test_hosts_of_one_ca_have_files_of_their_own(tmp_path: Path) -> None:
    """Each is good for its own name, and trusts the same CA."""
    hosts = {
        name: make_certificates(tmp_path, [name], host=name, kind=KeyKind.RSA) for name in ("one", "two")
    }
    handshake(hosts["one"], hosts["two"].ca_dir, "one")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(hosts["one"], hosts["two"].ca_dir, "two")
