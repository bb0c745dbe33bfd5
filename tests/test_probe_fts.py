"""An FTS is asked with the credentials that there are, and what it answers is told in fdr's words."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from fdr.connection import Connection, Identity
from fdr.errors import LakeError, Refused, Unclear
from fdr.lake.signing import PROXY_INFORMATION, KeyKind, Signed, authority, proxy, user
from fdr.probe.delegation import LIFETIME, delegate, signed_proxy
from fdr.probe.fts import Fts
from fdr.probe.jobs import JobState
from fdr.probe.login import Login, login_for
from tests.xrootd_fixtures import free_ports, silent_server

TOKEN = "eyJhbGciOiJSUzI1NiJ9.s3cr3t.s3cr3t"
HOUR = timedelta(hours=1)


class Scripted:
    """An FTS that answers as it was told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                self.rfile.read(length)
                scripted.asked.append((self.command, self.path, self.headers.get("Authorization")))
                status, told = scripted.answers[f"{self.command} {self.path.partition('?')[0]}"]
                content = (told if isinstance(told, str) else json.dumps(told)).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_DELETE = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    made = Scripted()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


async def test_jobs_are_submitted_followed_and_cancelled(scripted: Scripted) -> None:
    """With the token in a header; an id that FTS does not know is an answer, too."""
    fts = Fts(scripted.url, Login(token=TOKEN), 5)
    known = {"job_id": "a", "job_state": "ACTIVE", "files": [{"start_time": "t"}]}
    unknown = {"job_id": "b", "http_status": "404 Not Found", "http_message": "No job"}
    scripted.answers = {
        "GET /whoami": (200, {"base_id": "x", "vos": ["lab"]}),
        "POST /jobs": (200, {"job_id": "a"}),
        "GET /jobs/a,b": (207, [known, unknown]),
        "GET /jobs/b": (404, unknown),
        "DELETE /jobs/b": (404, unknown),
    }
    assert (await fts.who()).vo == "lab"
    assert await fts.submit({}) == "a"
    assert await fts.states(["a", "b"]) == {
        "a": JobState("ACTIVE", started="t"),
        "b": JobState("unknown", "No job"),
    }
    assert (await fts.states(["b"]))["b"].is_over
    await fts.cancel("b")
    assert {authorization for *_, authorization in scripted.asked} == {f"Bearer {TOKEN}"}
    fts.close()


@pytest.mark.parametrize(
    ("status", "told", "kind", "reason"),
    [
        (400, {"message": "Missing scheme"}, Refused, "http-400"),
        (403, {"message": f"bad token {TOKEN}"}, Refused, "unauthenticated"),
        (419, {"message": "The delegated credentials expired"}, Refused, "no-delegation"),
        (503, "<html>busy</html>", Unclear, "http-503"),
        (200, "<html>a proxy's page</html>", Unclear, "bad-answer"),
        (200, {"no": "id"}, Unclear, "bad-answer"),
    ],
)
async def test_what_fts_refuses_is_refused_and_the_rest_is_unclear(
    scripted: Scripted, status: int, told: Any, kind: type[LakeError], reason: str
) -> None:
    """So that a job that may be there is looked for. No token is told."""
    scripted.answers = {"POST /jobs": (status, told)}
    fts = Fts(scripted.url, Login(token=TOKEN), 5)
    with pytest.raises(LakeError) as failed:
        await fts.submit({})
    assert (type(failed.value), failed.value.reason) == (kind, reason)
    assert "s3cr3t" not in str(failed.value)
    assert TOKEN not in repr(Login(token=TOKEN, storage_token=TOKEN))
    fts.close()


async def test_who_shows_nothing_is_told_what_to_show(scripted: Scripted) -> None:
    """Where FTS wants credentials and there are none."""
    scripted.answers = {"GET /whoami": (403, {"message": "Missing authentication"})}
    fts = Fts(scripted.url, Login(), 5)
    with pytest.raises(Refused, match=r"no proxy, certificate or token: see docs/probe\.md"):
        await fts.who()
    fts.close()


async def test_nobody_there_and_nobody_answering_are_told_apart() -> None:
    """The first did certainly nothing; the second costs the time that it is given."""
    fts = Fts(f"http://127.0.0.1:{free_ports(1)[0]}", Login(), 1)
    with pytest.raises(Refused, match=r"cannot be reached: \[Errno 111\] Connection refused$"):
        await fts.submit({})
    fts.close()
    with silent_server() as port:
        fts = Fts(f"http://127.0.0.1:{port}", Login(), 0.3)
        with pytest.raises(Unclear, match=r"no answer within 0\.3 s"):
            await fts.submit({})
        fts.close()


# --- credentials ----------------------------------------------------------------------------------


def connection(tmp_path: Path, **changes: Any) -> Connection:
    usual: dict[str, Any] = {
        "name": "lake",
        "rucio_cfg": tmp_path / "rucio.cfg",
        "rucio_host": "https://rucio",
        "auth_host": "https://rucio",
        "ca_cert": True,
        "account": "root",
        "identity": Identity("userpass", {}),
        "identities": {},
        "broker": None,
        "x509_cert_dir": None,
        "bearer_token": None,
        "embedded_home": None,
    }
    return Connection(**(usual | changes))


def test_the_proxy_that_gfal2_shows_is_shown_to_fts(tmp_path: Path) -> None:
    """A proxy before a certificate, those of the environment before that of the rucio.cfg."""
    x509_client = Identity("x509", {"client_cert": "/c.pem", "client_key": "/k.pem"})
    lake = connection(tmp_path, identity=x509_client, x509_cert_dir=tmp_path)
    environment = {"X509_USER_PROXY": "/proxy", "X509_USER_CERT": "/cert", "X509_USER_KEY": "/key"}
    login = login_for(lake, environment)
    assert (login.certificate, login.key, login.authorities) == ("/proxy", "/proxy", str(tmp_path))
    del environment["X509_USER_PROXY"]
    assert (login_for(lake, environment).certificate, login_for(lake, environment).key) == ("/cert", "/key")
    assert (login_for(lake, {}).certificate, login_for(lake, {}).key) == ("/c.pem", "/k.pem")
    of_proxy = connection(tmp_path, identity=Identity("x509_proxy", {"client_proxy": "/p"}))
    assert (login_for(of_proxy, {}).certificate, login_for(of_proxy, {}).key) == ("/p", "/p")


def test_a_token_for_fts_takes_the_place_of_certificates(tmp_path: Path) -> None:
    """Then storages are shown theirs by FTS; a token for storages alone is not shown to FTS."""
    lake = connection(tmp_path, fts_bearer_token=TOKEN, bearer_token="storage")
    login = login_for(lake, {"X509_USER_PROXY": "/proxy"})
    assert (login.token, login.certificate, login.storage_token) == (TOKEN, "", "storage")
    assert TOKEN not in repr(lake)
    without = login_for(connection(tmp_path, bearer_token="storage"), {"X509_USER_PROXY": "/proxy"})
    assert (without.token, without.certificate, without.storage_token) == (None, "/proxy", None)


# --- delegation -----------------------------------------------------------------------------------


def a_request(key: rsa.RSAPrivateKey) -> bytes:
    """Return the request that an FTS makes for a key of its own."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def people() -> tuple[Signed, Signed, Signed]:
    """An authority, a user that it vouches for, and a proxy of that user."""
    ca = authority("CA", 24 * HOUR, KeyKind.RSA)
    somebody = user(ca, "somebody", 24 * HOUR, KeyKind.RSA)
    return ca, somebody, proxy(somebody, 2 * HOUR)


@pytest.fixture(scope="module")
def fts_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def test_a_delegated_proxy_is_vouched_for_by_the_whole_chain(
    people: tuple[Signed, Signed, Signed], fts_key: rsa.RSAPrivateKey, tmp_path: Path
) -> None:
    """It is for the key of FTS, ends with the first of the chain, and OpenSSL takes it for a proxy."""
    ca, somebody, ours = people
    chain = ours.certificate_pem + somebody.certificate_pem
    made = signed_proxy(a_request(fts_key), chain, ours.key_pem, datetime.now(UTC))
    delegated, *above = x509.load_pem_x509_certificates(made)
    assert above == [ours.certificate, somebody.certificate]
    assert delegated.public_key() == fts_key.public_key()
    assert delegated.not_valid_after_utc == ours.certificate.not_valid_after_utc
    assert delegated.issuer == ours.certificate.subject
    assert delegated.extensions.get_extension_for_oid(PROXY_INFORMATION.oid).critical
    delegated.verify_directly_issued_by(ours.certificate)
    if shutil.which("openssl"):
        for name, content in (
            ("ca", ca.certificate_pem),
            ("chain", b"".join(made.partition(b"-----END CERTIFICATE-----\n")[2:])),
            ("proxy", made),
        ):
            (tmp_path / name).write_bytes(content)
        done = subprocess.run(
            ["openssl", "verify", "-allow_proxy_certs", "-CAfile", "ca", "-untrusted", "chain", "proxy"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.stdout == "proxy: OK\n", done.stderr


def test_a_delegation_lasts_as_long_as_it_may(
    people: tuple[Signed, Signed, Signed], fts_key: rsa.RSAPrivateKey
) -> None:
    """And no longer than LIFETIME, where a certificate itself is shown."""
    _, somebody, _ = people
    now = datetime.now(UTC).replace(microsecond=0)
    made = signed_proxy(a_request(fts_key), somebody.certificate_pem, somebody.key_pem, now)
    assert x509.load_pem_x509_certificates(made)[0].not_valid_after_utc == now + LIFETIME


@pytest.mark.parametrize(
    ("lasts", "asks"),
    [(None, 3), (HOUR / 2, 3), (6 * HOUR, 1)],
)
def test_a_proxy_is_delegated_where_there_is_none_that_lasts(
    people: tuple[Signed, Signed, Signed],
    fts_key: rsa.RSAPrivateKey,
    tmp_path: Path,
    lasts: timedelta | None,
    asks: int,
) -> None:
    """Otherwise FTS is left alone."""
    told = None if lasts is None else {"termination_time": f"{datetime.now(UTC) + lasts:%Y-%m-%dT%H:%M:%S}"}
    *_, ours = people
    file = tmp_path / "proxy"
    file.write_bytes(ours.certificate_pem + ours.key_pem + people[1].certificate_pem)
    sent: list[tuple[str, ...]] = []
    answers: dict[str, Callable[[], str]] = {
        "/delegation/d": lambda: json.dumps(told),
        "/delegation/d/request": lambda: a_request(fts_key).decode(),
        "/delegation/d/credential": lambda: "",
    }

    def send(*words: str) -> str:
        sent.append(words)
        return answers[words[1]]()

    delegate(send, "d", Login(certificate=str(file), key=str(file)))
    assert len(sent) == asks
    if asks == 3:
        method, _, chain = sent[-1]
        assert method == "PUT"
        assert "PRIVATE KEY" not in chain
        assert chain.count("BEGIN CERTIFICATE") == 3


def test_a_certificate_that_cannot_be_read_is_told(fts_key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    """By its name, without its content."""
    (tmp_path / "damaged").write_text("s3cr3t")

    def send(method: str, path: str) -> str:
        return a_request(fts_key).decode() if path.endswith("request") else "null"

    for name in ("none", "damaged"):
        login = Login(certificate=str(tmp_path / name), key=str(tmp_path / name))
        with pytest.raises(Refused, match=f"{name}: no proxy can be signed with it") as refused:
            delegate(send, "d", login)
        assert "s3cr3t" not in str(refused.value)
