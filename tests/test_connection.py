"""A rucio.cfg says how to reach a lake, and never shows its secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from fdr.connection import read_connection
from fdr.errors import LakeUnusable

PLAIN = """
[client]
rucio_host = https://rucio.example.org:443
auth_host = https://auth.example.org:443
account = root
auth_type = userpass
username = operator
password = s3cret-%-password
ca_cert = /etc/ssl/lake.pem
"""

EXTRA = """
[fdr]
broker_host = broker.example.org
broker_topic = /topic/events
broker_user = listener
broker_password = s3cret-broker
bearer_token = s3cret-token
fts_bearer_token = s3cret-token-of-fts
x509_cert_dir = /etc/grid-security/certificates

[fdr-account-cta]
auth_type = x509
client_cert = /home/cta/cert.pem
client_key = /home/cta/key.pem
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rucio.cfg"
    path.write_text(text)
    return path


def test_a_stock_rucio_cfg_is_enough(tmp_path: Path) -> None:
    """What fdr adds is optional."""
    lake = read_connection(written(tmp_path, PLAIN))
    assert (lake.name, lake.auth_host) == ("https://rucio.example.org:443", "https://auth.example.org:443")
    assert lake.identity.credentials == {"username": "operator", "password": "s3cret-%-password"}
    assert lake.ca_cert == "/etc/ssl/lake.pem"
    assert (lake.broker, lake.embedded_home, lake.bearer_token) == (None, None, None)


def test_tls_is_verified_when_nothing_is_said(tmp_path: Path) -> None:
    """Leaving ca_cert out means the usual authorities, not none."""
    text = "\n".join(line for line in PLAIN.splitlines() if "ca_cert" not in line)
    assert read_connection(written(tmp_path, text)).ca_cert is True


def test_broker_and_accounts_are_read(tmp_path: Path) -> None:
    """An account may have credentials of its own, of another kind."""
    lake = read_connection(written(tmp_path, PLAIN + EXTRA))
    assert lake.broker is not None
    assert (lake.broker.host, lake.broker.port, lake.broker.topic) == (
        "broker.example.org",
        61613,
        "/topic/events",
    )
    assert lake.identities["cta"].auth_type == "x509"
    assert lake.x509_cert_dir == Path("/etc/grid-security/certificates")
    assert (lake.bearer_token, lake.fts_bearer_token) == ("s3cret-token", "s3cret-token-of-fts")


def test_no_secret_is_in_a_connection_that_is_shown(tmp_path: Path) -> None:
    """Printing the value, as an error or a log might, gives no password and no token."""
    assert "s3cret" not in repr(read_connection(written(tmp_path, PLAIN + EXTRA)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[client]\naccount = root\n", "rucio_host is missing"),
        ("this is = no section\npassword = s3cret\n", "is not a rucio.cfg"),
        (PLAIN.replace("userpass", "magic"), "auth_type 'magic': write one of"),
    ],
)
def test_what_cannot_be_used_is_said_without_its_content(tmp_path: Path, text: str, said: str) -> None:
    """One sentence that names the file, and no secret in it."""
    path = written(tmp_path, text)
    with pytest.raises(LakeUnusable, match=said) as refused:
        read_connection(path)
    assert str(path) in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    """Not traced."""
    with pytest.raises(LakeUnusable, match="cannot be read: No such file"):
        read_connection(tmp_path / "rucio.cfg")
