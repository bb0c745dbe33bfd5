"""X.509 certificates of the embedded lake, signed by a CA made for it alone."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fdr.errors import LakeUnusable

if TYPE_CHECKING:
    from collections.abc import Sequence

CA_NAME = "fdr lake ca"  # lower case and plain: `_hash_link_name` counts on it
CA_LIFETIME = timedelta(days=3650)
CERTIFICATE_LIFETIME = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)
CLOCK_SKEW = timedelta(minutes=5)
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
class _Signed:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make_certificates(
    directory: Path, names: Sequence[str] = LOOPBACK_NAMES, host_key_owner: str | None = None
) -> Certificates:
    """Make a CA and a host certificate for these names, or keep those that are still good.

    A certificate is made again when it ends within 30 days, does not name all of ``names``, or was
    signed by another CA. ``names`` are host names and IP addresses. ``host_key_owner`` is the system
    user that must read the host's key; keys are readable by their owner only. Raises LakeUnusable when
    the directory cannot be written.
    """
    made = Certificates(
        directory / "ca", directory / "ca" / "fdr-lake-ca.pem", directory / "host.pem", directory / "host.key"
    )
    try:
        made.ca_dir.mkdir(parents=True, exist_ok=True)
        authority = _authority(made.ca_file, directory / "ca.key")
        _link(made.ca_dir / _hash_link_name(authority.certificate.subject), made.ca_file.name)
        host = _read(made.host_cert, made.host_key)
        if host is None or not _is_good_host(host, authority, names):
            _write(_issue_host(authority, names), made.host_cert, made.host_key)
        if host_key_owner is not None:
            shutil.chown(made.host_key, user=host_key_owner)
    except (OSError, LookupError) as error:
        raise LakeUnusable(f"{directory}: the lake's certificates cannot be written: {error}") from error
    return made


def _authority(certificate_file: Path, key_file: Path) -> _Signed:
    kept = _read(certificate_file, key_file)
    if kept is not None and not _ends_soon(kept.certificate):
        return kept
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(CA_NAME, key, CA_LIFETIME).issuer_name(_name(CA_NAME))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    made = _Signed(builder.sign(key, hashes.SHA256()), key)
    _write(made, certificate_file, key_file)
    return made


def _issue_host(authority: _Signed, names: Sequence[str]) -> _Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder("localhost", key, CERTIFICATE_LIFETIME).issuer_name(authority.certificate.subject)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    builder = builder.add_extension(
        x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
    )
    signer = authority.key.public_key()
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False
    )
    return _Signed(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(name: str, key: ec.EllipticCurvePrivateKey, lifetime: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _is_good_host(host: _Signed, authority: _Signed, names: Sequence[str]) -> bool:
    if _ends_soon(host.certificate):
        return False
    try:
        host.certificate.verify_directly_issued_by(authority.certificate)
        found = host.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return {_general_name(name) for name in names} <= set(found)


def _ends_soon(certificate: x509.Certificate) -> bool:
    return certificate.not_valid_after_utc - datetime.now(UTC) < RENEW_BEFORE


def _read(certificate_file: Path, key_file: Path) -> _Signed | None:
    """Return what the two files hold, None unless they are there and belong together."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None
    return _Signed(certificate, key)


def _write(signed: _Signed, certificate_file: Path, key_file: Path) -> None:
    _replace(
        key_file,
        signed.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        mode=0o600,
    )
    _replace(certificate_file, signed.certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)


def _replace(file: Path, content: bytes, mode: int) -> None:
    """Put the content in place at once, so that a running server never reads half of it."""
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=".new-")
    with os.fdopen(descriptor, "wb") as new:
        new.write(content)
        os.fchmod(new.fileno(), mode)
    Path(temporary).replace(file)


def _link(link: Path, target: str) -> None:
    if not link.is_symlink():
        link.symlink_to(target)


def _hash_link_name(subject: x509.Name) -> str:
    """Return the name under which OpenSSL looks for a CA in a directory.

    The first four bytes, low byte first, of the SHA-1 of the name in canonical form (OpenSSL,
    X509_NAME_hash_ex): the encoded name without its outer header, strings in UTF-8, lower case and with
    single spaces. ``CA_NAME`` is canonical as it stands. The outer header is two bytes for a name
    shorter than 128 bytes.
    """
    digest = hashlib.sha1(subject.public_bytes()[2:], usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}.0"
