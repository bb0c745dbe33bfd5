"""X.509 certificates of a lake on disk, signed by a CA made for it alone."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from fdr.errors import LakeUnusable
from fdr.lake import signing
from fdr.lake.signing import KeyKind, Signed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CA_NAME = "fdr lake ca"  # lower case and plain: `_hash` counts on it
CA_LIFETIME = timedelta(days=3650)
CERTIFICATE_LIFETIME = timedelta(days=365)
PROXY_LIFETIME = timedelta(days=7)  # FTS and storages are shown it, and nobody renews it
RENEW_BEFORE = timedelta(days=30)
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1", *(f"127.0.1.{number}" for number in range(1, 65)))


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where the certificates of a lake are.

    ``ca_dir`` is for X509_CERT_DIR: the CA under its hash link. ``ca_file`` is the same CA alone, for
    whoever wants one file.
    """

    ca_dir: Path
    ca_file: Path
    host_cert: Path
    host_key: Path


@dataclass(frozen=True, slots=True)
class UserCertificates:
    """Where a user's certificate, its key, and a proxy of it are.

    ``name`` is its subject, as the grid writes it. ``proxy`` holds the proxy, its key and the certificate of
    its user, as everything that speaks GSI reads it, ``both`` the certificate and its key.
    """

    name: str
    cert: Path
    key: Path
    both: Path
    proxy: Path


def make_certificates(
    directory: Path,
    names: Sequence[str] = LOOPBACK_NAMES,
    host_key_owner: str | None = None,
    *,
    host: str = "host",
    kind: KeyKind = KeyKind.CURVE,
) -> Certificates:
    """Make a CA and a host certificate for these names, or keep those that are still good.

    A certificate is made again when it ends within 30 days, does not name all of ``names``, or was
    signed by another CA. ``names`` are host names and IP addresses, ``host`` what the files of this host
    are called. ``host_key_owner`` is the system user that must read the host's key; keys are readable by
    their owner only. Raises LakeUnusable when the directory cannot be written.
    """
    made = Certificates(
        directory / "ca",
        directory / "ca" / "fdr-lake-ca.pem",
        directory / f"{host}.pem",
        directory / f"{host}.key",
    )
    with _writing(directory):
        authority = _authority(made, directory, kind)

        def issue() -> Signed:
            return signing.host(authority, names[0], names, CERTIFICATE_LIFETIME, kind)

        _kept_or_made(
            authority, made.host_cert, made.host_key, issue, lambda old: signing.names_all(old, names)
        )
        if host_key_owner is not None:
            shutil.chown(made.host_key, user=host_key_owner)
    return made


def make_user(directory: Path, made: Certificates, name: str) -> UserCertificates:
    """Make a user's certificate, or keep it while it is good, and a new proxy of it. Raises LakeUnusable."""
    cert, key, both, proxy = (directory / f"{name}.{end}" for end in ("pem", "key", "both", "proxy"))
    with _writing(directory):
        authority = _authority(made, directory, KeyKind.RSA)

        def issue() -> Signed:
            return signing.user(authority, name, CERTIFICATE_LIFETIME, KeyKind.RSA)

        user = _kept_or_made(authority, cert, key, issue, lambda _: True)
        _replace(both, user.certificate_pem + user.key_pem, mode=0o600)
        of_user = signing.proxy(user, PROXY_LIFETIME)
        _replace(proxy, of_user.certificate_pem + of_user.key_pem + user.certificate_pem, mode=0o600)
    return UserCertificates(signing.distinguished_name(user), cert, key, both, proxy)


@contextmanager
def _writing(directory: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, LookupError) as error:
        raise LakeUnusable(f"{directory}: the lake's certificates cannot be written: {error}") from error


def _authority(made: Certificates, directory: Path, kind: KeyKind) -> Signed:
    made.ca_dir.mkdir(parents=True, exist_ok=True)
    key_file = directory / "ca.key"
    authority = _read(made.ca_file, key_file)
    if authority is None or _ends_soon(authority.certificate) or not kind.made(authority.key):
        authority = signing.authority(CA_NAME, CA_LIFETIME, kind)
        _write(authority, made.ca_file, key_file)
    link = made.ca_dir / f"{_hash(authority.certificate.subject)}.0"
    if not link.is_symlink():
        link.symlink_to(made.ca_file.name)
    return authority


def _kept_or_made(
    authority: Signed, cert: Path, key: Path, issue: Callable[[], Signed], suits: Callable[[Signed], bool]
) -> Signed:
    kept = _read(cert, key)
    if kept and not _ends_soon(kept.certificate) and signing.vouches(authority, kept) and suits(kept):
        return kept
    made = issue()
    _write(made, cert, key)
    return made


def _ends_soon(certificate: x509.Certificate) -> bool:
    return certificate.not_valid_after_utc - datetime.now(UTC) < RENEW_BEFORE


def _read(certificate_file: Path, key_file: Path) -> Signed | None:
    """Return what the two files hold, None unless they are there and belong together."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    except (FileNotFoundError, ValueError):
        return None
    if not any(kind.made(key) for kind in KeyKind) or key.public_key() != certificate.public_key():
        return None
    return Signed(certificate, key)  # type: ignore[arg-type]  # its kind was looked at


def _write(signed: Signed, certificate_file: Path, key_file: Path) -> None:
    _replace(key_file, signed.key_pem, mode=0o600)
    _replace(certificate_file, signed.certificate_pem, mode=0o644)


def _replace(file: Path, content: bytes, mode: int) -> None:
    """Put the content in place at once, so that a running server never reads half of it."""
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=".new-")
    with os.fdopen(descriptor, "wb") as new:
        new.write(content)
        os.fchmod(new.fileno(), mode)
    Path(temporary).replace(file)


def _hash(subject: x509.Name) -> str:
    """Return the name under which OpenSSL looks for a CA in a directory.

    The first four bytes, low byte first, of the SHA-1 of the name in canonical form (OpenSSL,
    X509_NAME_hash_ex): the encoded name without its outer header, strings in UTF-8, lower case and with
    single spaces. ``CA_NAME`` is canonical as it stands. The outer header is two bytes for a name
    shorter than 128 bytes.
    """
    digest = hashlib.sha1(subject.public_bytes()[2:], usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}"
