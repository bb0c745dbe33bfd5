"""The FTS stand-in moves real bytes between real XRootD servers, and fails as FTS3 fails."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from fdr.lake.fts.config import Config, config_text
from fdr.lake.fts_service import fts_service, write_fts_config
from fdr.lake.xrootd import xrootd_user
from tests.xrootd_fixtures import Site, await_port, free_ports, running, sites

__all__ = ["sites"]

pytestmark = pytest.mark.lake

BOTH_MODES = pytest.mark.parametrize("mode", ["third-party", "streamed"])
BOTH_SCHEMES = pytest.mark.parametrize("scheme", ["root", "davs"])
WAYS = {"third-party": "3rd pull", "streamed": "streamed"}
PATIENCE_S = 2


@dataclass(frozen=True, slots=True)
class Fts:
    """A running stand-in."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Make a request; return the answer."""
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, content, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def submit(self, *pairs: tuple[str, str], checksum: str | None = None, **params: Any) -> str:
        """Submit copies in one job; return its id."""
        files = [{"sources": [src], "destinations": [dst], "checksum": checksum} for src, dst in pairs]
        params = {"overwrite": True, "verify_checksum": "both", **params}
        return str(self.ask("POST", "/jobs", {"files": files, "params": params})["job_id"])

    def job(self, job_id: str) -> dict[str, Any]:
        """Return a job with its files."""
        fields = "file_state,reason,start_time,finish_time,pid,filesize"
        found: dict[str, Any] = self.ask("GET", f"/jobs/{job_id}?files={fields}")
        return found

    def ended(self, job_id: str, within_s: float = 40.0) -> dict[str, Any]:
        """Wait for the end of a job; return it."""
        found: dict[str, Any] = self.until(
            lambda: self.job(job_id), lambda job: bool(job["job_finished"]), within_s
        )
        return found

    def until(
        self, question: Callable[[], Any], is_right: Callable[[Any], bool], within_s: float = 40.0
    ) -> Any:
        """Ask until the answer is right; return it, or fail with it."""
        deadline = time.monotonic() + within_s
        while not is_right(answer := question()):
            if time.monotonic() > deadline:
                pytest.fail(f"still {answer}\n{self.log.read_text()[-2000:]}")
            time.sleep(0.02)
        return answer


@contextmanager
def standing_in(home: Path, mode: str, certificates: Path, **settings: Any) -> Iterator[Fts]:
    """Run the stand-in as the lake's supervisor would, with short time-outs; jobs stay in ``home``."""
    port = free_ports(1)[0]
    config = home / "fts.json"
    write_fts_config(
        config,
        port=port,
        state_dir=home / "state",
        copy_mode=mode,
        x509_cert_dir=certificates,
        bearer_token="t",
    )
    config.write_text(
        json.dumps({**json.loads(config.read_text()), "operation_timeout_s": PATIENCE_S, **settings})
    )
    log = home / "fts.log"
    with running(fts_service(config), log) as process:
        await_port(process, "127.0.0.1", port, log)
        yield Fts(f"http://127.0.0.1:{port}", process, log)


def keep(site: Site, path: str, content: bytes) -> str:
    """Put a file on the disk of a storage; return its adler32."""
    file = site.files / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    if (user := xrootd_user()) is not None:
        for place in (file, *file.relative_to(site.files).parents):
            shutil.chown(site.files / place, user=user, group=user)
    return f"{zlib.adler32(content):08x}"


@pytest.fixture
def silent() -> Iterator[int]:
    """A port of 127.0.1.9 that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.1.9", 0))
        listening.listen(100)
        yield listening.getsockname()[1]


@BOTH_MODES
@BOTH_SCHEMES
def test_a_copy_is_the_same_bytes_and_says_which_way_they_went(
    sites: tuple[Site, Site], tmp_path: Path, mode: str, scheme: str
) -> None:
    """Parents are made, an old file is replaced where that is allowed, and only there."""
    alpha, beta = sites
    content = os.urandom(1_500_000)
    name = f"copy/{mode}-{scheme}/deep/er/file"
    adler32 = keep(alpha, name, content)
    pair = (alpha.url(scheme, name), beta.url(scheme, name))
    with standing_in(tmp_path, mode, alpha.certificates.ca_dir) as fts:
        job = fts.ended(fts.submit(pair, checksum=f"ADLER32:{adler32}"))
        assert (job["job_state"], job["files"][0]["reason"]) == ("FINISHED", "")
        assert job["files"][0]["filesize"] == len(content)
        assert (beta.files / name).read_bytes() == content
        keep(beta, name, b"old" * 1_000_000)
        job = fts.ended(fts.submit(pair, overwrite=False))
        assert (
            job["files"][0]["reason"]
            == "DESTINATION [17] Destination file exists and overwrite is not enabled"
        )
        assert (beta.files / name).read_bytes() == b"old" * 1_000_000
        fts.ended(fts.submit(pair))
        assert (beta.files / name).read_bytes() == content
        assert fts.ask("GET", "/fdr/stats")["copied"] == {WAYS[mode]: 2}


@BOTH_MODES
@BOTH_SCHEMES
def test_a_wrong_checksum_fails_the_copy_and_leaves_no_file(
    sites: tuple[Site, Site], tmp_path: Path, mode: str, scheme: str
) -> None:
    """Given and found differ: no replica that nobody can trust stays behind."""
    alpha, beta = sites
    name = f"wrong/{mode}-{scheme}"
    keep(alpha, name, b"not what was promised")
    pair = (alpha.url(scheme, name), beta.url(scheme, name))
    with standing_in(tmp_path, mode, alpha.certificates.ca_dir) as fts:
        job = fts.ended(fts.submit(pair, checksum="ADLER32:deadbeef", verify_checksum="both"))
        assert job["job_state"] == "FAILED"
        assert "checksum" in job["files"][0]["reason"].lower()
        assert job["files"][0]["reason"].startswith("TRANSFER [")
        assert not (beta.files / name).exists()
        job = fts.ended(fts.submit(pair, checksum="ADLER32:deadbeef", verify_checksum="none"))
        assert job["job_state"] == "FINISHED"


@BOTH_MODES
def test_failures_read_as_they_do_in_fts3(sites: tuple[Site, Site], tmp_path: Path, mode: str) -> None:
    """A missing source, and a server that is not there, over root:// word for word."""
    alpha, beta = sites
    with standing_in(tmp_path, mode, alpha.certificates.ca_dir) as fts:

        def reason(source: str, destination: str) -> str:
            return str(fts.ended(fts.submit((source, destination)))["files"][0]["reason"])

        missing = "SOURCE [2] Failed to stat file (No such file or directory)"
        assert reason(alpha.url("root", "nosuch"), beta.url("root", "x")) == missing
        refused = "SOURCE [111] Failed to stat file (Connection refused)"
        assert reason("root://127.0.1.9:1//rucio/x", beta.url("root", "x")) == refused
        assert reason(alpha.url("davs", "nosuch"), beta.url("davs", "x")).startswith("SOURCE [2] ")
        assert reason("davs://127.0.1.9:1/rucio/x", beta.url("davs", "x")).startswith("SOURCE [112] ")


@BOTH_MODES
@BOTH_SCHEMES
def test_a_file_is_never_copied_onto_itself(
    sites: tuple[Site, Site], tmp_path: Path, mode: str, scheme: str
) -> None:
    """A real FTS3 deletes it; here it fails, and the file stays."""
    alpha, _ = sites
    keep(alpha, "self", b"precious")
    with standing_in(tmp_path, mode, alpha.certificates.ca_dir) as fts:
        other = "davs" if scheme == "root" else "root"
        for target in (alpha.url(scheme, "self"), alpha.url(other, "self")):
            assert fts.ended(fts.submit((alpha.url(scheme, "self"), target)))["job_state"] == "FAILED"
    assert (alpha.files / "self").read_bytes() == b"precious"


@BOTH_SCHEMES
def test_a_hung_storage_costs_its_own_transfer_only(
    sites: tuple[Site, Site], tmp_path: Path, silent: int, scheme: str
) -> None:
    """Others go on meanwhile; the hung one fails when its time is over."""
    alpha, beta = sites
    adler32 = keep(alpha, "meanwhile", b"meanwhile")
    with standing_in(tmp_path, "third-party", alpha.certificates.ca_dir, workers=2) as fts:
        hung = fts.submit((f"{scheme}://127.0.1.9:{silent}//rucio/x", beta.url(scheme, f"hung-{scheme}")))
        fts.until(lambda: fts.job(hung), lambda job: job["job_state"] == "ACTIVE")
        pair = (alpha.url(scheme, "meanwhile"), beta.url(scheme, f"meanwhile-{scheme}"))
        assert fts.ended(fts.submit(pair, checksum=f"ADLER32:{adler32}"))["job_state"] == "FINISHED"
        if scheme == "davs":  # over root:// the copy itself takes as long as the patience
            assert fts.job(hung)["job_state"] == "ACTIVE"
        job = fts.ended(hung)
    assert job["files"][0]["reason"].startswith("SOURCE [11")


@BOTH_SCHEMES
def test_a_hung_copy_can_be_canceled(
    sites: tuple[Site, Site], tmp_path: Path, silent: int, scheme: str
) -> None:
    """It is CANCELED at once, its finish time follows, and its place is free for another."""
    alpha, beta = sites
    keep(alpha, "next", b"next")
    with standing_in(
        tmp_path, "third-party", alpha.certificates.ca_dir, workers=1, operation_timeout_s=60
    ) as fts:
        hung = fts.submit((f"{scheme}://127.0.1.9:{silent}//rucio/x", beta.url(scheme, "x")))
        fts.until(lambda: fts.job(hung), lambda job: job["job_state"] == "ACTIVE")
        canceled = fts.ask("DELETE", f"/jobs/{hung}")
        assert (canceled["job_state"], canceled["http_status"]) == ("CANCELED", "200 Ok")
        file = fts.until(lambda: fts.job(hung)["files"][0], lambda file: bool(file["finish_time"]), 6)
        assert file["file_state"] == "CANCELED"
        pair = (alpha.url("davs", "next"), beta.url("davs", f"next-{scheme}"))
        assert fts.ended(fts.submit(pair))["job_state"] == "FINISHED"


def test_it_ends_within_three_seconds_although_a_copy_hangs(
    sites: tuple[Site, Site], tmp_path: Path, silent: int
) -> None:
    """And leaves no process behind."""
    beta = sites[1]
    settings = {"operation_timeout_s": 60, "web_storage_active": 4}
    with standing_in(tmp_path, "third-party", beta.certificates.ca_dir, **settings) as fts:
        pairs = [(f"davs://127.0.1.9:{silent}/rucio/{n}", beta.url("davs", f"{n}")) for n in range(4)]
        hung = fts.submit(*pairs)
        fts.until(
            lambda: fts.job(hung)["files"],
            lambda files: all(file["file_state"] == "ACTIVE" for file in files),
        )
        workers = [psutil.Process(file["pid"]) for file in fts.job(hung)["files"]]
        begun = time.monotonic()
        fts.process.terminate()
        fts.process.wait(10)
        assert time.monotonic() - begun < 3
        _, alive = psutil.wait_procs(workers, timeout=3)
        assert alive == []


def test_after_kill_9_the_jobs_go_on(sites: tuple[Site, Site], tmp_path: Path) -> None:
    """Everything that was submitted arrives, and the dead service's workers are gone."""
    alpha, beta = sites
    adler32 = keep(alpha, "kill9", os.urandom(1000))
    pairs = [(alpha.url("root", "kill9"), beta.url("root", f"kill9/{n}")) for n in range(12)]
    with standing_in(tmp_path, "third-party", alpha.certificates.ca_dir, workers=4) as fts:
        job_id = fts.submit(*pairs, checksum=f"ADLER32:{adler32}")
        active = fts.until(
            lambda: [file for file in fts.job(job_id)["files"] if file["file_state"] == "ACTIVE"],
            lambda files: len(files) == 4,
        )
        workers = [psutil.Process(file["pid"]) for file in active]
        os.kill(fts.process.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(workers, timeout=5)
        assert alive == []
    with standing_in(tmp_path, "third-party", alpha.certificates.ca_dir, workers=12) as fts:
        assert fts.ended(job_id)["job_state"] == "FINISHED"
    assert len(list((beta.files / "kill9").iterdir())) == 12


def test_a_worker_that_dies_fails_its_own_copy(sites: tuple[Site, Site], tmp_path: Path, silent: int) -> None:
    """With a reason of its own; the next copy gets a new process."""
    alpha, beta = sites
    keep(alpha, "survivor", b"survivor")
    with standing_in(tmp_path, "streamed", alpha.certificates.ca_dir, workers=1) as fts:
        doomed = fts.submit((f"davs://127.0.1.9:{silent}/rucio/x", beta.url("davs", "doomed")))
        file = fts.until(lambda: fts.job(doomed)["files"][0], lambda file: file["file_state"] == "ACTIVE")
        os.kill(file["pid"], signal.SIGKILL)
        assert fts.ended(doomed)["files"][0]["reason"] == "TRANSFER [104] Transfer process died"
        pair = (alpha.url("davs", "survivor"), beta.url("davs", "survivor"))
        assert fts.ended(fts.submit(pair))["job_state"] == "FINISHED"


def test_several_sources_and_several_hops_move_real_bytes(sites: tuple[Site, Site], tmp_path: Path) -> None:
    """The first source is missing, so the second is used; a hop begins when the one before it is there."""
    alpha, beta = sites
    keep(alpha, "hop/there", b"over the hills")
    with standing_in(tmp_path, "streamed", alpha.certificates.ca_dir) as fts:
        sources = [alpha.url("root", "hop/nosuch"), alpha.url("root", "hop/there")]
        files = [{"sources": sources, "destinations": [beta.url("root", "hop/one")]}]
        body = {"files": files, "params": {"verify_checksum": "both"}}
        job = fts.ended(str(fts.ask("POST", "/jobs", body)["job_id"]))
        assert [file["file_state"] for file in job["files"]] == ["FAILED", "FINISHED"], job
        assert (job["job_type"], job["job_state"]) == ("R", "FINISHED")
        hops = [
            (alpha.url("root", "hop/there"), beta.url("root", "hop/two")),
            (beta.url("root", "hop/two"), alpha.url("root", "hop/three")),
        ]
        job = fts.ended(fts.submit(*hops, multihop=True))
        assert (job["job_type"], job["job_state"]) == ("H", "FINISHED")
    assert (alpha.files / "hop/three").read_bytes() == b"over the hills"


def test_nobody_else_can_reach_it_and_its_token_is_not_shown(tmp_path: Path) -> None:
    """It listens on 127.0.0.1 alone; a taken port is one sentence and exit code 5."""
    with standing_in(tmp_path, "streamed", tmp_path) as fts:
        listening = {
            c.laddr.ip for c in psutil.Process(fts.process.pid).net_connections() if c.status == "LISTEN"
        }
        assert listening == {"127.0.0.1"}
        port = int(fts.url.rsplit(":", 1)[1])
        config = tmp_path / "second.json"
        config.write_text(config_text(Config(port, tmp_path / "second", bearer_token="very-secret")))
        service = fts_service(config)
        second = subprocess.run(service.command, capture_output=True, text=True, timeout=20, check=False)
    assert second.returncode == 5
    assert str(port) in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert "very-secret" not in second.stderr + repr(Config(port, tmp_path, bearer_token="very-secret"))
