"""The lake of docker-compose.yml without Docker: X.509 throughout, ActiveMQ, and the file's own words."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fdr.lake.compose.places import STORAGES
from fdr.lake.keeper.programs import DAEMONS
from tests.lake.composed import Composed, composed_lake

pytestmark = [
    pytest.mark.lake,
    pytest.mark.skipif(os.geteuid() != 0, reason="namespaces, and ports below 1024, are root's"),
]
CA = "/srv/lake/certificates/ca"
ROBOT = ["--cert", "/srv/lake/certificates/fdr.pem", "--key", "/srv/lake/certificates/fdr.key"]


@dataclass(frozen=True)
class Rehearsed:
    """A composed lake that is up, after its service fdr has ended."""

    lake: Composed
    code: int
    report: dict[str, Any]

    def answer(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command beside the services."""
        process = self.lake.start("asked", words, environment)
        code = process.wait(60)
        log = self.lake.log("asked")
        text = log.read_text()
        log.unlink()
        return subprocess.CompletedProcess(words, code, text)


# Those of scenarios/smoke.yaml, but for the time of its rules: a GSI login with delegation takes half a
# second of CPU, and other tests are at work beside this one.
OBJECTIVES = (
    "objectives=[upload.success>=99%,upload.lateness.p95<=2s,dataset.closed>=100%,rule.success>=99%,"
    "rule.time_to_ok.max<=5m,transfer.success>=95%,lost==0,dark==0]"
)


@pytest.fixture(scope="module")
def rehearsed() -> Iterator[Rehearsed]:
    """Every service of the file, up by its own words, and fdr's run to its end."""
    directory = Path(tempfile.mkdtemp(prefix="fdr-compose-", dir="/var/tmp"))
    directory.chmod(0o755)
    try:
        with composed_lake(directory) as lake:
            lake.bring_up()
            code = lake.run("fdr", OPTIONS=f"--scale 0.16 --speed 4 --set {OBJECTIVES}")
            assert code in {0, 3, 4}, lake.log("fdr").read_text()
            report = next((directory / "runs").glob("*/report.json"))
            yield Rehearsed(lake, code, json.loads(report.read_text()))
    finally:
        shutil.rmtree(directory)


def test_the_exit_code_is_the_verdict(rehearsed: Rehearsed) -> None:
    """The service fdr prepares the lake and passes the smoke scenario on it."""
    assert rehearsed.code == 0, rehearsed.lake.log("fdr").read_text()[-4000:]
    assert rehearsed.report["verdict"] == "pass"
    assert rehearsed.report["run"]["lake"] == "https://rucio:443"


def test_activemq_carries_every_transfer_event(rehearsed: Rehearsed) -> None:
    """Rucio's hermes sends to ActiveMQ, fdr hears all of it, and both have to know the password."""
    transfers = rehearsed.report["transfers"]
    copied = rehearsed.report["experiments"]["CTA"]["files"]["ok"] * 2  # to two RSEs each
    assert transfers["done"] >= copied > 0
    assert "events were lost" not in rehearsed.lake.log("fdr").read_text()
    asking = (
        "import stomp,sys; c=stomp.Connection12([('activemq',61613)],reconnect_attempts_max=1,timeout=5);"
        "c.connect('fdr','wrong',wait=True)"
    )
    refused = rehearsed.answer("python3", "-c", asking)
    assert refused.returncode != 0
    assert "ConnectFailedException" in refused.stdout


def test_storages_let_in_who_shows_a_proxy_and_nobody_else(rehearsed: Rehearsed) -> None:
    """Uploads, and the copies between storages, came in the name of the robot, by GSI."""
    for name in STORAGES:
        logins = re.findall(rb"login as (\S+)", rehearsed.lake.log(name).read_bytes())
        assert set(logins) == {b"/CN=fdr"}
    refused = rehearsed.answer("xrdfs", "xrd1", "ls", "/rucio", X509_CERT_DIR=CA, X509_USER_PROXY="/none")
    assert refused.returncode != 0
    assert "Auth failed" in refused.stdout


def test_rucio_takes_certificates_over_https(rehearsed: Rehearsed) -> None:
    """The robot's certificate opens every account; without one there is no token, nor with a made-up one."""
    where = ["-s", "--capath", CA, "-i", "-H", "X-Rucio-Account: cta", "https://rucio:443/auth/x509"]
    taken = rehearsed.answer("curl", *ROBOT, *where)
    assert "X-Rucio-Auth-Token:" in taken.stdout
    host = ["--cert", "/srv/lake/certificates/xrd1.pem", "--key", "/srv/lake/certificates/xrd1.key"]
    for nobody in ([], host):
        refused = rehearsed.answer("curl", *nobody, *where)
        assert "401" in refused.stdout.splitlines()[0]
        assert "X-Rucio-Auth-Token:" not in refused.stdout


def test_fts_was_asked_with_a_certificate(rehearsed: Rehearsed) -> None:
    """What stands for FTS3 wants one, as FTS3 does, and the conveyor has it."""
    where = ["-sf", "--capath", CA, "https://fts:8446/whoami"]
    assert rehearsed.answer("curl", *ROBOT, *where).returncode == 0
    assert rehearsed.answer("curl", *where).returncode != 0
    assert rehearsed.report["transfers"]["failed"] == 0


def test_when_a_daemon_dies_the_others_end_and_the_exit_code_says_so(rehearsed: Rehearsed) -> None:
    """A container of daemons that lacks one would let a run wait in vain."""
    daemons = rehearsed.lake.running["daemons"]
    children = Path(f"/proc/{daemons.pid}/task/{daemons.pid}/children").read_text().split()
    assert len(children) == len(DAEMONS)
    os.kill(int(children[0]), signal.SIGKILL)
    assert daemons.wait(30) == 1
    assert "ended by itself" in rehearsed.lake.log("daemons").read_text()
