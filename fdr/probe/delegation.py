"""Delegate a proxy to an FTS, with which it then copies in our name.

The dialogue is gridsite's, as the ``delegation`` part of FTS3's REST interface speaks it: FTS makes a key and
a request, we sign a proxy certificate for it (RFC 3820) and send that with the chain of ours.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from fdr.errors import Refused
from fdr.lake.signing import CLOCK_SKEW, PROXY_INFORMATION
from fdr.probe.login import Login

LIFETIME = timedelta(hours=7)
ENOUGH = timedelta(hours=1)

Send = Callable[..., str]  # of method, path and perhaps content; returns the text of the answer


def delegate(send: Send, delegation: str, login: Login) -> None:
    """Give FTS a proxy where it has none that lasts for ENOUGH; raises LakeError."""
    if _remaining(send("GET", f"/delegation/{delegation}")) >= ENOUGH:
        return
    request = send("GET", f"/delegation/{delegation}/request")
    try:
        chain = Path(login.certificate).read_bytes()
        key = Path(login.key).read_bytes()
        signed = signed_proxy(request.encode(), chain, key, datetime.now(UTC))
    except (OSError, ValueError, TypeError) as error:
        raise Refused(
            "bad-certificate", f"{login.certificate}: no proxy can be signed with it: {error}"
        ) from error
    send("PUT", f"/delegation/{delegation}/credential", signed.decode())


def signed_proxy(request_pem: bytes, chain_pem: bytes, key_pem: bytes, now: datetime) -> bytes:
    """Return a proxy for the key of a request, followed by the chain that signs it, as PEM.

    It ends with the first certificate of the chain that does, after LIFETIME at most. Raises ValueError or
    TypeError where the request or the key cannot be used.
    """
    request = x509.load_pem_x509_csr(request_pem)
    if not request.is_signature_valid:
        raise ValueError("the request of the FTS is not signed by its own key")
    chain = x509.load_pem_x509_certificates(chain_pem)
    key = serialization.load_pem_private_key(key_pem, None)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ValueError("its key is neither RSA's nor of an elliptic curve")
    ours = chain[0]
    serial = x509.random_serial_number() >> 96  # its name ends in it, and GSI takes 64 bits at most
    name = [
        *ours.subject.rdns,
        x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, str(serial))]),
    ]
    ends = min(now + LIFETIME, *(one.not_valid_after_utc for one in chain))
    usage = x509.KeyUsage(True, False, True, False, False, False, False, False, False)
    proxy = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(name))
        .issuer_name(ours.subject)
        .public_key(request.public_key())
        .serial_number(serial)
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(ends)
        .add_extension(PROXY_INFORMATION, critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (proxy, *chain))


def _remaining(text: str) -> timedelta:
    """Return for how long FTS has a proxy of ours, from what it says of it."""
    try:
        ends = datetime.fromisoformat(json.loads(text)["termination_time"])
    except (ValueError, KeyError, TypeError):
        return timedelta(0)
    return ends.replace(tzinfo=UTC) - datetime.now(UTC)
