"""A live run is stopped: by fdr stop, with and without cancelling, and by a limit that it breaks."""

from __future__ import annotations

import json
import secrets
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fdr.journal.reader import read_journal
from fdr.lake.embedded import current_settings
from fdr.lake.home import LakeHome
from fdr.lake.postgres import query
from fdr.lake.storages import storage_root
from fdr.lake.xrootd import storage_directory
from fdr.model import Outcome
from tests.lake.begun_run import begun_run
from tests.lake.smoke_run import fdr, run_smoke
from tests.lake.test_bad_weather import refusing

pytestmark = pytest.mark.lake


@contextmanager
def slow_transfers(lake: LakeHome) -> Iterator[None]:
    """Let every copy wait for longer than the test lasts."""
    ask(lake, "PUT", {"delay_s": 120})
    try:
        yield
    finally:
        ask(lake, "DELETE", {})


def ask(lake: LakeHome, method: str, body: dict[str, Any]) -> None:
    """Tell the FTS stand-in what is wrong with its links."""
    request = urllib.request.Request(
        f"{current_settings(lake).fts}/fdr/links",
        data=json.dumps(body).encode(),
        method=method,
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).close()


def rows(lake: LakeHome, sql: str) -> list[tuple[str, ...]]:
    """Return what Rucio's database says."""
    return query(lake, current_settings(lake), sql)


def job_state(lake: LakeHome, job: str) -> str:
    """Return the state of a job at the FTS."""
    with urllib.request.urlopen(f"{current_settings(lake).fts}/jobs/{job}", timeout=10) as answer:
        return str(json.load(answer)["job_state"])


def test_a_run_is_stopped_from_another_terminal(lake: LakeHome, tmp_path: Path) -> None:
    """No new starts, work in flight ends, report written; both commands say so, with their exit codes."""
    with begun_run(lake, tmp_path) as run:
        directory = run.directory
        run.wait_until(lambda: run.puts() >= 20)
        done = fdr(lake, tmp_path, "stop", directory.path)
        ended = run.finish(within_s=10)  # it has ended when fdr stop says so
    assert done.returncode == 0, done.stdout
    assert ended.code == 130, ended.output
    assert "fdr stop, by " in " ".join(done.stdout.split())
    assert f"report: {directory.html}" in " ".join(done.stdout.split())
    report = json.loads(directory.json.read_text())
    files = [experiment["files"] for experiment in report["experiments"].values()]
    assert sum(counts["unknown"] for counts in files) == 0
    assert 20 <= sum(counts["ok"] for counts in files) < 132
    (note,) = [note for note in report["run"]["notes"] if note["kind"] == "interrupted"]
    assert note["text"].startswith("fdr stop, by ")
    assert report["verdict"] != "pass"
    assert not directory.stop_request.exists()
    again = fdr(lake, tmp_path, "stop", directory.path)
    assert (again.returncode, "not alive" in again.stdout) == (0, True)


def test_what_is_not_transferred_is_cancelled(lake: LakeHome, tmp_path: Path) -> None:
    """With --now no rule, no request and no job of the run is left that was not done."""
    with slow_transfers(lake), begun_run(lake, tmp_path, "--duration", "5s") as begun:
        directory = begun.directory
        begun.wait_until(lambda: begun.puts() >= 100)
        with read_journal(directory.journal) as reader:
            run = reader.started.run
        of_run = f"WHERE name LIKE '%{run}%'"
        submitted = f"SELECT count(*) FROM requests {of_run} AND external_id IS NOT NULL"
        begun.wait_until(lambda: int(rows(lake, submitted)[0][0]) > 0)
        done = fdr(lake, tmp_path, "stop", "--now", directory.path)
        ended = begun.finish(within_s=10)
        assert done.returncode == 0, done.stdout + ended.output
        assert ended.code == 130, ended.output
        # Rucio's poller may see a job cancelled before the deletion of its rule is committed, and have the
        # file tried once more, for nobody: see docs/stopping.md.
        tried_again = (
            "previous_attempt_id IN (SELECT id FROM requests_history WHERE err_msg LIKE '%canceled%')"
        )
        assert rows(lake, f"SELECT name FROM requests {of_run} AND NOT coalesce({tried_again}, false)") == []
        open_rules = f"SELECT id FROM rules {of_run} AND (state <> 'O' OR locks_replicating_cnt > 0)"
        assert rows(lake, open_rules) == []
        jobs = f"SELECT DISTINCT external_id FROM requests_history {of_run} AND external_id IS NOT NULL"
        assert {job_state(lake, job) for (job,) in rows(lake, jobs)} == {"CANCELED"}
    report = json.loads(directory.json.read_text())
    cancelled = sum(experiment["rules"]["cancelled"] for experiment in report["experiments"].values())
    assert cancelled > 0
    assert f"{cancelled} rules cancelled" in report["run"]["status"]
    with read_journal(directory.journal) as reader:
        ids = [
            event.detail for event in reader.events() if isinstance(event, Outcome) and event.step == "cancel"
        ]
    quoted = ", ".join(f"'{rule}'" for rule in ids)
    gone = f"SELECT count(DISTINCT id) FROM rules_history WHERE replace(id::text, '-', '') IN ({quoted})"
    assert len(ids) == cancelled
    assert rows(lake, gone) == [(str(cancelled),)]


def test_a_storage_that_refuses_ends_a_run_at_its_limit(lake: LakeHome, tmp_path: Path) -> None:
    """The run stops orderly, says which limit and what was observed, and does not pass."""
    scope = f"lsst_{secrets.token_hex(4)}"  # with no directory that is there already
    limit = "upload.success{experiment=LSST} < 80% over 30s"
    with refusing(storage_directory("SARA-DCACHE", storage_root(lake)) / scope):
        run = run_smoke(
            lake, tmp_path,
            "--set", f"experiments.LSST.scope={scope}",
            "--set", f"limits.abort_when=['{limit}']",
            "--set", "objectives=['dataset.closed >= 1']",
        )  # fmt: skip
    assert run.code == 4, run.output
    status = run.report["run"]["status"]
    assert status.startswith(f"the run stopped at a limit (limits.abort_when: {limit}: 0% of ")
    assert status in " ".join(run.output.split())
    files = {name: experiment["files"] for name, experiment in run.report["experiments"].items()}
    assert 20 <= files["LSST"]["failed"] < 40
    assert sum(counts["not_reached"] + counts["dropped"] for counts in files.values()) > 0
    assert sum(counts["unknown"] for counts in files.values()) == 0
