"""X.509 as values: an authority, and the hosts, the users and the proxies that it vouches for."""

from __future__ import annotations

import enum
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence

    Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

CLOCK_SKEW = timedelta(minutes=5)
RSA_BITS = 2048
# RFC 3820: proxyCertInfo, critical, without a limit to its length and with the policy id-ppl-inheritAll.
PROXY_INFORMATION = x509.UnrecognizedExtension(
    x509.ObjectIdentifier("1.3.6.1.5.5.7.1.14"), bytes.fromhex("300c300a06082b06010505071501")
)


class KeyKind(enum.Enum):
    """Which keys are made: elliptic curves are quick, but GSI, the grid's authentication, takes RSA only."""

    CURVE = "curve"
    RSA = "rsa"

    def make(self) -> Key:
        """Return a new private key."""
        if self is KeyKind.RSA:
            return rsa.generate_private_key(65537, RSA_BITS)
        return ec.generate_private_key(ec.SECP256R1())

    def made(self, key: object) -> bool:
        """Tell whether a key is of this kind."""
        return isinstance(key, rsa.RSAPrivateKey if self is KeyKind.RSA else ec.EllipticCurvePrivateKey)


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: Key

    @property
    def certificate_pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key as PEM; RSA keys in the older form that all of the grid's software reads."""
        old = isinstance(self.key, rsa.RSAPrivateKey)
        private = serialization.PrivateFormat
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            private.TraditionalOpenSSL if old else private.PKCS8,
            serialization.NoEncryption(),
        )


def authority(name: str, lifetime: timedelta, kind: KeyKind) -> Signed:
    """Return an authority that vouches for itself."""
    key = kind.make()
    builder = _builder(_name(name), key, lifetime).issuer_name(_name(name))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return Signed(builder.sign(key, hashes.SHA256()), key)


def host(signer: Signed, name: str, others: Sequence[str], lifetime: timedelta, kind: KeyKind) -> Signed:
    """Return a certificate for a host, good as server and as client; ``others`` are names or IP addresses."""
    alternatives = x509.SubjectAlternativeName([general_name(other) for other in others])
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return _vouched(signer, name, lifetime, kind, purposes, alternatives)


def user(signer: Signed, name: str, lifetime: timedelta, kind: KeyKind) -> Signed:
    """Return a certificate for a person or a robot."""
    return _vouched(signer, name, lifetime, kind, [ExtendedKeyUsageOID.CLIENT_AUTH])


def proxy(of: Signed, lifetime: timedelta) -> Signed:
    """Return a proxy certificate that its user signed and that may do all that the user may (RFC 3820)."""
    serial = x509.random_serial_number() >> 96  # its name ends in it, and GSI takes 64 bits at most
    name = [*of.certificate.subject.rdns, *_name(str(serial)).rdns]
    key = KeyKind.RSA.make()
    builder = _builder(x509.Name(name), key, lifetime, serial).issuer_name(of.certificate.subject)
    builder = builder.add_extension(PROXY_INFORMATION, critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    return Signed(builder.sign(of.key, hashes.SHA256()), key)


def general_name(name: str) -> x509.GeneralName:
    """Return a host name or an IP address as certificates hold it."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def vouches(signer: Signed, other: Signed) -> bool:
    """Tell whether a certificate was signed by this authority."""
    try:
        other.certificate.verify_directly_issued_by(signer.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def names_all(signed: Signed, names: Sequence[str]) -> bool:
    """Tell whether a certificate names all of these hosts."""
    try:
        found = signed.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    return {general_name(name) for name in names} <= set(found)


def distinguished_name(signed: Signed) -> str:
    """Return a subject as the grid writes it: /O=fdr/CN=somebody."""
    return "".join(f"/{part.rfc4514_string()}" for part in signed.certificate.subject.rdns)


def _vouched(
    signer: Signed,
    name: str,
    lifetime: timedelta,
    kind: KeyKind,
    purposes: Sequence[x509.ObjectIdentifier],
    alternatives: x509.SubjectAlternativeName | None = None,
) -> Signed:
    key = kind.make()
    builder = _builder(_name(name), key, lifetime).issuer_name(signer.certificate.subject)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False, kind=kind), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if alternatives is not None:
        builder = builder.add_extension(alternatives, critical=False)
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())
    return Signed(builder.add_extension(by, critical=False).sign(signer.key, hashes.SHA256()), key)


def _builder(
    name: x509.Name, key: Key, lifetime: timedelta, serial: int | None = None
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool, kind: KeyKind = KeyKind.RSA) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not signs_certificates and kind is KeyKind.RSA,
        data_encipherment=False,
        key_agreement=not signs_certificates and kind is KeyKind.CURVE,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
