"""Promises of the gfal2 storage that a fake cannot share: its errors, its environment, broken servers."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fdr.errors import LakeError, LakeUnusable, Refused, Unclear
from fdr.payload import Payload
from fdr.storage import gfal_context
from fdr.storage.gfal import GfalStorage
from fdr.storage.gfal_errors import plain, reason_of, was_never_begun
from fdr.storage.served import PayloadServer
from tests.xrootd_fixtures import Site, free_ports, running_sites, silent_server, sites

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["sites"]

XRDCL = "Error on XrdCl::CopyProcess::Run(): "
SEEN = [  # what gfal2 2.21.3 was seen to raise: code, message, our reason, whether nothing was begun
    (17, "DESTINATION EXISTS The destination file exists and overwrite is not enabled", "exists", True),
    (
        17,
        XRDCL + "[ERROR] Server responded with an error: [3018] Unable to pcreate /f; file exists",
        "exists",
        True,
    ),
    (
        17,
        "TRANSFER ERROR: Copy failed (streamed). Last attempt: HTTP 403 : Permission refused",
        "permission",
        True,
    ),
    (13, XRDCL + "[ERROR] Server responded with an error: [3010] permission denied", "permission", True),
    (1, "DESTINATION MAKE_PARENT HTTP 403 : Permission refused ", "permission", True),
    (19, XRDCL + "[3005] Unable to create /f; not a directory", "not-a-directory", True),
    (5, "DESTINATION OVERWRITE   Result HTTP 500 : Unexpected server error: 500", "server-error", True),
    (2, "Result HTTP 404 : File not found  after 1 attempts", "not-found", True),
    (84, XRDCL + "[ERROR] CheckSum error", "checksum", False),
    (5, "DESTINATION CHECKSUM MISMATCH User-defined and destination ADLER32 do not match", "checksum", False),
    (111, XRDCL + "[FATAL] Connection error:  (destination)", "connection-refused", False),
    (111, "Failed while writing to file (Connection refused)", "connection-refused", False),
    (112, "DESTINATION OVERWRITE   Result Could not connect to server", "connection-refused", True),
    (112, "TRANSFER ERROR: Last attempt: Could not connect to server", "connection-refused", False),
    (113, XRDCL + "[FATAL] Invalid address:  (destination)", "unknown-host", True),
    (113, "Result Domain name resolution failed after 1 attempts", "unknown-host", True),
    (116, XRDCL + "[ERROR] Operation expired:  (destination)", "timeout", False),
    (
        13,
        "TRANSFER (Neon): SSL handshake failed: Connection timed out during SSL handshake",
        "timeout",
        False,
    ),
    (110, "DESTINATION CHECKSUM Connection timed out", "timeout", False),
    (6, "TRANSFER ERROR: Could not send request body: Connection reset by peer", "communication", False),
    (28, XRDCL + "[3009] no space left on device", "no-space", False),
    (5, "TRANSFER ERROR: HTTP 507 : Insufficient Storage", "no-space", False),
    (11, "TRANSFER ERROR: HTTP 503 : Service unavailable", "busy", False),
]


@pytest.mark.parametrize(("code", "message", "reason", "never_begun"), SEEN)
def test_errors_that_were_seen_have_a_reason(code: int, message: str, reason: str, never_begun: bool) -> None:
    """The words that a report counts, and whether the storage is certainly as it was."""
    assert (reason_of(code, message), was_never_begun(reason, message)) == (reason, never_begun)


def test_an_error_nobody_has_seen_still_has_a_countable_reason() -> None:
    """The name of its number, or unknown."""
    assert reason_of(errno.EPROTO, "odd") == "eproto"
    assert reason_of(99999, "odd") == "unknown"


def test_no_token_is_in_a_message() -> None:
    """Neither ours nor one in a URL or a header; and the rest stays readable."""
    ours = "eyJhbGciOi.some.token"
    said = plain(f"PUT https://h/f?authz={ours}x: Authorization: Bearer abc.def\n refused {ours}", ours)
    assert ours not in said
    assert "abc.def" not in said
    assert said.startswith("PUT https://h/f?authz=")
    assert said.endswith("refused …")


def test_a_message_is_one_short_line() -> None:
    """Whatever a server answers."""
    assert plain("a\x00\n  b" + "c" * 1000) == "a b" + "c" * 297


def test_without_gfal2_the_packages_to_install_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, before anything is injected."""
    monkeypatch.setitem(sys.modules, "gfal2", None)
    with pytest.raises(
        LakeUnusable, match=r"gfal2 is not installed.* install python3-gfal2, gfal2-plugin-file"
    ):
        GfalStorage()


def test_a_missing_plugin_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """gfal2 alone cannot put a file."""

    class Bare:
        def creat_context(self) -> Bare:
            return self

        def get_plugin_names(self) -> list[str]:
            return ["file-2.21.3", "http-2.21.3"]

    monkeypatch.setitem(sys.modules, "gfal2", Bare())
    with pytest.raises(LakeUnusable, match="install gfal2-plugin-xrootd"):
        gfal_context.load_gfal2()


def test_the_environment_is_set_but_for_what_the_user_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time-out of the user's own stays; certificates are the lake's."""
    monkeypatch.setenv("XRD_REQUESTTIMEOUT", "7")
    monkeypatch.setenv("X509_CERT_DIR", "/elsewhere")
    monkeypatch.setenv("SSL_CERT_FILE", "/elsewhere")
    monkeypatch.delenv("XRD_STREAMTIMEOUT", raising=False)
    gfal_context.load_gfal2(gfal_context.gfal_environment(12.5, Path("/the/cas")))
    found = {name: os.environ[name] for name in ("XRD_REQUESTTIMEOUT", "XRD_STREAMTIMEOUT", "X509_CERT_DIR")}
    assert found == {"XRD_REQUESTTIMEOUT": "7", "XRD_STREAMTIMEOUT": "13", "X509_CERT_DIR": "/the/cas"}


def test_a_served_payload_is_there_only_while_it_is_offered() -> None:
    """At a URL of its own; any other URL has nothing."""
    server = PayloadServer()
    payload = Payload("served", 3_000_000)
    try:
        with server.offer(payload) as url:
            with urllib.request.urlopen(url) as answer:
                assert answer.read() == b"".join(payload.chunks())
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(url + "x")
            refused.value.close()
        with pytest.raises(urllib.error.HTTPError) as gone:
            urllib.request.urlopen(url)
        assert gone.value.code == 404
        gone.value.close()
    finally:
        server.close()


@pytest.fixture
def doomed() -> Iterator[Site]:
    """A server that the test may kill."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        with running_sites(Path(name), {"DOOMED": "127.0.1.3"}) as made:
            yield made["DOOMED"]


@pytest.mark.lake
@pytest.mark.parametrize("scheme", ["root", "davs"])
async def test_a_storage_that_is_down_refuses(sites: tuple[Site, Site], scheme: str) -> None:
    """From the first file on, certainly, with a reason."""
    port = free_ports(1)[0]
    storage = GfalStorage(2, sites[0].certificates.ca_dir, timeout_s=5, loopback_only=True)
    slashes = "//" if scheme == "root" else "/"
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            await storage.put(Payload("k", 10), f"{scheme}://127.0.1.1:{port}{slashes}rucio/file")
        assert refused.value.reason == "connection-refused"
    await storage.close()


@pytest.mark.lake
@pytest.mark.parametrize("scheme", ["root", "davs"])
async def test_a_put_that_a_dying_server_cut_off_is_unclear_and_the_next_is_refused(
    doomed: Site, scheme: str
) -> None:
    """Half a file may be left of the first; the second was never begun."""
    storage = GfalStorage(2, doomed.certificates.ca_dir, "any", timeout_s=10, loopback_only=True)
    put = asyncio.create_task(storage.put(Payload("k", 50_000_000_000), doomed.url(scheme, "half")))
    half = doomed.files / "half"
    async with asyncio.timeout(10):
        while not (half.exists() and half.stat().st_size > 1_000_000):
            await asyncio.sleep(0.01)
    doomed.process.kill()
    with pytest.raises(Unclear) as unclear:
        await put
    assert unclear.value.reason in {"communication", "connection-refused"}
    with pytest.raises(Refused) as refused:
        await storage.put(Payload("k", 10), doomed.url(scheme, "next"))
    assert refused.value.reason == "connection-refused"
    await storage.close()


PUT_LARGE = """
import asyncio, resource, sys
from pathlib import Path
from fdr.payload import Payload
from fdr.storage.gfal import GfalStorage

async def put():
    storage = GfalStorage(2, Path(sys.argv[1]), "any", loopback_only=True)
    await storage.put(Payload("large", 400_000_000), sys.argv[2])
    await storage.delete([sys.argv[2]])
    await storage.close()

resource.setrlimit(resource.RLIMIT_FSIZE, (150 << 20, 150 << 20))  # counts for files in memory too
asyncio.run(put())
# Not getrusage's figure: that begins with what the process that started this one had.
status = Path("/proc/self/status").read_text()
print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""


@pytest.mark.lake
@pytest.mark.parametrize("scheme", ["root", "davs"])
def test_a_large_put_needs_little_memory(sites: tuple[Site, Site], scheme: str) -> None:
    """400 MB go out of a process that never holds 150 MiB."""
    arguments = [str(sites[0].certificates.ca_dir), sites[0].url(scheme, "large")]
    put = [sys.executable, "-c", PUT_LARGE, *arguments]
    done = subprocess.run(put, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 150


PUT_TO_SILENCE = """
import asyncio, sys
from pathlib import Path
from fdr.errors import LakeError
from fdr.payload import Payload
from fdr.storage.gfal import GfalStorage

async def put():
    storage = GfalStorage(2, Path(sys.argv[1]), "any", timeout_s=1, loopback_only=True)
    try:
        await storage.put(Payload("k", 10), sys.argv[2])
    except LakeError as error:
        print(error.reason)
    await storage.close()

asyncio.run(put())
"""


@pytest.mark.lake
def test_the_process_ends_though_a_storage_hangs(sites: tuple[Site, Site]) -> None:
    """A TLS handshake without an answer keeps gfal2 for 31 s and more; the process does not wait for it."""
    with silent_server() as port:
        arguments = [str(sites[0].certificates.ca_dir), f"davs://127.0.1.1:{port}/rucio/file"]
        put = [sys.executable, "-c", PUT_TO_SILENCE, *arguments]
        done = subprocess.run(put, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "timeout\n", "")


@pytest.mark.lake
@pytest.mark.parametrize("scheme", ["root", "davs"])
async def test_a_storage_that_hung_is_used_again(doomed: Site, scheme: str) -> None:
    """While it hangs every put ends in time and no thread is added; when it goes on, so do puts."""
    storage = GfalStorage(3, doomed.certificates.ca_dir, "any", timeout_s=4, loopback_only=True)
    await storage.put(Payload("before", 10), doomed.url(scheme, "before"))
    doomed.process.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        puts = [storage.put(Payload(f"{n}", 10), doomed.url(scheme, f"during{n}")) for n in range(12)]
        ended = await asyncio.gather(*puts, return_exceptions=True)
        assert time.monotonic() - began < 8
        assert all(isinstance(error, LakeError) for error in ended)
        assert {error.reason for error in ended if isinstance(error, LakeError)} <= {"timeout", "busy"}
        port = doomed.ports.root if scheme == "root" else doomed.ports.http
        crew = [thread for thread in threading.enumerate() if thread.name.endswith(f":{port}")]
        assert len(crew) == 3
    finally:
        doomed.process.send_signal(signal.SIGCONT)
    async with asyncio.timeout(60):  # gfal2 must give up what hung: 31 s in a TLS handshake
        is_back = False
        while not is_back:
            with suppress(LakeError):
                await storage.put(Payload("after", 10), doomed.url(scheme, "after"), overwrite=True)
                is_back = True
    await asyncio.gather(*(storage.put(Payload(f"{n}", 10), doomed.url(scheme, f"{n}")) for n in range(12)))
    await storage.close()
