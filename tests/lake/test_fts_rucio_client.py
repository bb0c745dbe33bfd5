"""Rucio's own client of FTS3, in the lake's environment, understands the stand-in."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fdr.lake.install import install
from tests.lake.test_fts_copies import Fts, keep, standing_in
from tests.xrootd_fixtures import Site, sites

__all__ = ["sites"]

pytestmark = pytest.mark.lake

CLIENT = """
import json, sys
from rucio.transfertool.fts3 import FTS3Transfertool

url, done, missing, waiting = sys.argv[1:]
tool = FTS3Transfertool(external_host=url)
requests = {job: {"r": {"id": "r", "request_id": "r"}} for job in (done, missing)}
reports = tool.bulk_query(requests)
report = reports[done]["r"]
report.request = lambda session: None
print(json.dumps({
    "whoami": tool.whoami()["vos"],
    "version": tool.version()["api"],
    "expected_id": tool._FTS3Transfertool__get_deterministic_id("some-sid"),
    "report": [report.file_response["file_state"], report.job_response["job_state"], report._src_url],
    "missing": reports[missing],
    "priority": tool.update_priority(waiting, 5)["priority"],
    "canceled": tool.cancel([waiting])["job_state"],
    "queried": tool.query([waiting])[0]["job_state"],
}))
"""

CONFIGURATION = """
[common]
logdir = /tmp
[database]
default = sqlite:///:memory:
[conveyor]
use_deterministic_id = True
[policy]
permission = generic
schema = generic
"""


def ask_rucio(fts: Fts, home: Path, *jobs: str) -> dict[str, Any]:
    """Run Rucio's client on these jobs; return what it found."""
    configuration = home / "rucio.cfg"
    configuration.write_text(CONFIGURATION)
    found = subprocess.run(
        [str(install(lambda text: None)), "-c", CLIENT, fts.url, *jobs],
        env={**os.environ, "RUCIO_CONFIG": str(configuration)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    answer: dict[str, Any] = json.loads(found.stdout.splitlines()[-1])
    return answer


def test_rucio_reads_submits_and_cancels(sites: tuple[Site, Site], tmp_path: Path) -> None:
    """Its queries find what is there, miss what is not, and agree on deterministic ids."""
    alpha, beta = sites
    keep(alpha, "rucio", b"for rucio")
    source = alpha.url("davs", "rucio")
    with standing_in(tmp_path, "third-party", alpha.certificates.ca_dir, workers=1) as fts:
        file = {
            "sources": [source],
            "destinations": [beta.url("davs", "rucio")],
            "metadata": {"request_id": "r"},
        }
        done = fts.ask("POST", "/jobs", {"files": [file], "params": {"overwrite": True}})["job_id"]
        assert fts.ended(done)["files"][0]["reason"] == ""
        params = {"id_generator": "deterministic", "sid": "some-sid"}
        known = fts.submit((source, beta.url("davs", "known")), **params)
        fts.ask("PUT", "/fdr/links", {"hang": True})
        waiting = fts.submit((source, beta.url("davs", "never")))
        found = ask_rucio(fts, tmp_path, done, "11111111-2222-3333-4444-555555555555", waiting)
    assert found == {
        "whoami": ["fdr"],
        "version": {"major": 3, "minor": 13, "patch": 4},
        "expected_id": known,
        "report": ["FINISHED", "FINISHED", source],
        "missing": None,
        "priority": 5,
        "canceled": "CANCELED",
        "queried": "CANCELED",
    }
