"""Probes on the embedded lake: in calm, with things stopped and switched off, interrupted, and killed."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from fdr.lake.embedded import current_settings
from fdr.lake.home import LakeHome
from fdr.lake.storages import storage_root
from fdr.lake.supervision import Keeper
from fdr.probe.record import record_of
from tests.lake.disturb import stopped, switched_off
from tests.lake.smoke import SMOKE
from tests.lake.smoke_run import FDR, environment, fdr

pytestmark = pytest.mark.lake
DESY, PIC, SARA = RSES = "DESY-DCACHE", "PIC-DCACHE", "SARA-DCACHE"
ALL = "|".join(RSES)  # other tests may have added RSEs
STEPS = ["put", "stat", "checksum", "get", "delete"]
SMALL = "--size=64kB"  # XRootD 5.5.3 alters a davs:// upload of 1 MB now and then: see docs/probe.md
WITHIN_S = 60


@dataclass(frozen=True)
class Told:
    """A probe that is over: how it ended, and its JSON."""

    code: int
    told: dict[str, Any]

    def steps(self, rse: str, protocol: str) -> list[str]:
        """Return how the steps at a protocol of an RSE went."""
        (row,) = (row for row in self.told["storages"] if (row["rse"], row["protocol"]) == (rse, protocol))
        return [row["steps"][name]["state"] for name in STEPS]

    def transfers(self) -> dict[tuple[str, str], str]:
        return {(one["src"], one["dst"]): one["state"] for one in self.told["transfers"]}

    def transfer(self, src: str, dst: str) -> dict[str, Any]:
        (found,) = (one for one in self.told["transfers"] if (one["src"], one["dst"]) == (src, dst))
        return dict(found)

    @property
    def left(self) -> list[str]:
        return [name for things in self.told["left"].values() for name in things]


def probe(lake: LakeHome, runs: Path, *options: str | Path) -> Told:
    done = fdr(lake, runs, "probe", "--json", SMALL, *options, ALL)
    assert done.stdout.startswith("{"), done.stdout
    return Told(done.returncode, json.loads(done.stdout))


def on_disks(lake: LakeHome) -> list[str]:
    """Return what probes have made at the storages: directories and files."""
    return [str(path) for path in storage_root(lake).glob("*/data/rucio/fdr-probe-*/**")] + files_on_disks(
        lake
    )


def files_on_disks(lake: LakeHome) -> list[str]:
    return [path.name for path in storage_root(lake).glob("*/data/rucio/fdr-probe-*/*")]


def records(runs: Path) -> list[Path]:
    return sorted(runs.glob("probe-*.json"))


def assert_nothing_is_left(lake: LakeHome, runs: Path) -> None:
    """Neither on the disks, nor on record."""
    assert on_disks(lake) == []
    assert [path.name for path in runs.iterdir()] == ["probe.lock"]


@contextmanager
def begun(lake: LakeHome, runs: Path, *options: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Begin a probe; it does not outlive the block."""
    process = subprocess.Popen(
        [str(FDR), "probe", SMALL, *map(str, options), ALL],
        env=environment(lake, runs),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(process: subprocess.Popen[str], holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "did not come to pass"
        time.sleep(0.02)


@contextmanager
def links(lake: LakeHome, **fault: Any) -> Iterator[str]:
    """Let FTS suffer a fault on every link; yields its URL."""
    url = current_settings(lake).fts
    try:
        requests.put(f"{url}/fdr/links", json=fault, timeout=10).raise_for_status()
        yield url
    finally:
        requests.delete(f"{url}/fdr/links", timeout=10).raise_for_status()


def jobs(runs: Path) -> list[str]:
    """Return the jobs on the only record."""
    found = records(runs)
    return [job["id"] for job in json.loads(found[0].read_text())["jobs"]] if found else []


def job_states(fts: str, ids: list[str]) -> set[str]:
    answers = (requests.get(f"{fts}/jobs/{job}", timeout=10).json() for job in ids)
    return {answer.get("job_state", "unknown") for answer in answers}


# --- in calm --------------------------------------------------------------------------------------


def test_all_is_ok_and_nothing_is_left(lake: LakeHome, tmp_path: Path) -> None:
    """Every step at every protocol of every RSE, and every pair by FTS, with their durations."""
    numbers = tmp_path / "fdr.prom"
    runs = tmp_path / "runs"
    done = probe(lake, runs, f"--prometheus-file={numbers}")
    assert done.code == done.told["exit_code"] == 0
    for rse in RSES:
        for protocol in ("root", "davs"):
            assert done.steps(rse, protocol) == ["ok"] * 5
    assert done.transfers() == {(src, dst): "ok" for src in RSES for dst in RSES if src != dst}
    for one in done.told["transfers"]:
        assert one["duration_s"] > 0
        assert one["started_at"] <= one["finished_at"]
        assert (one["verify_checksum"], one["fts"]) == ("both", current_settings(lake).fts)
    assert done.left == []
    assert_nothing_is_left(lake, runs)
    lines = numbers.read_text().splitlines()
    for name, count in (("step_ok", 30), ("transfer_ok", 6)):
        values = [line.rpartition(" ")[2] for line in lines if line.startswith(f"fdr_probe_{name}{{")]
        assert values == ["1.0"] * count
    assert 'fdr_probe_last_exit_code{lake="local"} 0.0' in lines


def test_the_matrices_of_the_rses_of_a_scenario(lake: LakeHome, tmp_path: Path) -> None:
    """A line, a row for each protocol, and for each source; nothing else."""
    done = fdr(lake, tmp_path, "probe", "-v", f"--scenario={SMOKE}", SMALL)
    assert done.returncode == 0, done.stdout
    summary, storages, head, *rest = done.stdout.splitlines()
    assert "storages: 30 of 30 steps ok; transfers: 6 of 6 ok; " in summary
    assert summary.endswith("; nothing left")
    assert storages == "storages: 64 kB files, seconds each step took"
    assert head.split() == ["RSE", "protocol", *STEPS]
    assert [row.split()[:2] for row in rest[:6]] == [[rse, p] for rse in RSES for p in ("root", "davs")]
    assert rest[6] == "transfers: 64 kB files by FTS, seconds from submission to its end"
    assert [row.split()[:2] for row in rest[8:]] == [[str(n), rse] for n, rse in enumerate(RSES, 1)]
    assert_nothing_is_left(lake, tmp_path)


def test_an_rse_of_a_scenario_that_is_not_there_is_a_failure(lake: LakeHome, tmp_path: Path) -> None:
    """It is named; the others are probed."""
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(SMOKE.read_text().replace(SARA, "NOWHERE"))
    done = fdr(lake, tmp_path / "runs", "probe", SMALL, "--only=storages", f"--scenario={scenario}")
    assert done.returncode == 3
    assert "storages: 20 of 25 steps ok, 5 failed" in done.stdout
    assert "; NOWHERE is not an RSE of this lake; nothing left" in done.stdout


# --- in bad weather -------------------------------------------------------------------------------


def test_a_storage_that_is_down_costs_its_own_cells_only(lake: LakeHome, tmp_path: Path) -> None:
    """Its put fails, and what needs it is skipped; what FTS may have put there is left to the next probe."""
    with stopped(lake, f"xrootd-{SARA}"):
        done = probe(lake, tmp_path)
    assert done.code == 3
    for protocol in ("root", "davs"):
        assert done.steps(SARA, protocol) == ["failed", *["skipped"] * 4]
        assert done.steps(DESY, protocol) == done.steps(PIC, protocol) == ["ok"] * 5
    assert {pair for pair, state in done.transfers().items() if state == "ok"} == {(DESY, PIC), (PIC, DESY)}
    assert done.transfer(SARA, PIC)["message"].startswith("the file to copy was not put: connection-refused")
    assert done.transfer(PIC, SARA)["reason"] in {"transfer", "destination"}
    assert all("/from-" in url for url in done.left)
    assert len(records(tmp_path)) == bool(done.left)
    again = probe(lake, tmp_path, "--only=storages")
    assert (again.code, again.told["earlier"]["probes"]) == (0, bool(done.left))
    assert_nothing_is_left(lake, tmp_path)


def test_without_fts_and_with_reading_off(lake: LakeHome, tmp_path: Path) -> None:
    """Storages are probed all the same; what may not be read is not; other pairs fail with the reason."""
    with stopped(lake, "fts"), switched_off(lake, PIC, "read"):
        done = probe(lake, tmp_path)
    assert done.code == 3
    assert done.steps(PIC, "davs") == ["ok", "ok", "ok", "skipped", "ok"]
    assert done.steps(DESY, "root") == ["ok"] * 5
    states = done.transfers()
    assert {pair for pair, state in states.items() if state == "skipped"} == {(PIC, DESY), (PIC, SARA)}
    assert done.transfer(PIC, SARA)["message"] == f"{PIC} is not available for reading"
    assert list(states.values()).count("failed") == 4
    told = done.transfer(DESY, SARA)
    assert told["reason"] == "fts-connection"
    assert told["message"].endswith("cannot be reached: [Errno 111] Connection refused")
    assert_nothing_is_left(lake, tmp_path)


@pytest.mark.parametrize("availability", ["write", "delete"])
def test_where_nothing_may_be_written_or_deleted_nothing_is_put(
    lake: LakeHome, tmp_path: Path, availability: str
) -> None:
    """The RSE is skipped, and said; that is nobody's failure."""
    with switched_off(lake, PIC, availability):
        done = fdr(lake, tmp_path, "probe", "-v", SMALL, "--only=storages", ALL)
    assert done.returncode == 0, done.stdout
    assert "storages: 20 of 20 steps ok, 10 skipped; " in done.stdout
    assert (
        f"; {PIC} is not available for {'writing' if availability == 'write' else 'deleting'}; "
        in done.stdout
    )
    assert f"{PIC} davs: put, stat, checksum, get, delete skipped" in done.stdout
    assert_nothing_is_left(lake, tmp_path)


def test_a_storage_that_hangs_costs_its_time_only(lake: LakeHome, tmp_path: Path) -> None:
    """Steps end in the time that they are given; the next probe takes away what may have come to be."""
    hung = psutil.Process(Keeper(lake).processes()[f"xrootd-{SARA}"].pid)
    hung.suspend()
    try:
        done = probe(lake, tmp_path, "--only=storages", "--timeout=2s")
    finally:
        hung.resume()
    assert done.code == 3
    assert done.told["duration_s"] < 20
    for protocol in ("root", "davs"):
        assert done.steps(SARA, protocol)[:4] == ["failed", *["skipped"] * 3]
        assert done.steps(PIC, protocol) == ["ok"] * 5
    assert probe(lake, tmp_path, "--only=storages").code == 0
    assert_nothing_is_left(lake, tmp_path)


def test_a_transfer_that_does_not_end_is_cancelled(lake: LakeHome, tmp_path: Path) -> None:
    """Its pair has failed, with how far it was; FTS has no job of it any more."""
    with links(lake, hang=True) as fts:
        done = probe(lake, tmp_path, "--only=transfers", "--transfer-timeout=3s")
    assert done.code == 3
    assert set(done.transfers().values()) == {"failed"}
    told = done.transfer(DESY, PIC)
    assert told["reason"] == "timeout"
    assert told["message"].startswith("no end within 3s: cancelled when it was ")
    assert job_states(fts, [one["job"] for one in done.told["transfers"]]) == {"CANCELED"}
    assert_nothing_is_left(lake, tmp_path)


# --- interrupted and killed -----------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_that_is_interrupted_while_fts_copies_leaves_nothing(
    lake: LakeHome, tmp_path: Path, number: signal.Signals
) -> None:
    """Half a copy is on a disk then: its job is cancelled, and both ends are deleted."""
    with links(lake, rate=4_000.0) as fts, begun(lake, tmp_path, "--only=transfers") as process:
        wait_until(process, lambda: any(name.startswith("from-") for name in files_on_disks(lake)))
        submitted = jobs(tmp_path)
        process.send_signal(number)
        told, _ = process.communicate(timeout=WITHIN_S)
        assert process.returncode == 130
        assert "; interrupted; nothing left" in told
        assert len(submitted) == 6
        assert job_states(fts, submitted) <= {"CANCELED", "unknown"}
        assert_nothing_is_left(lake, tmp_path)


def test_one_that_is_interrupted_while_it_puts_leaves_nothing(lake: LakeHome, tmp_path: Path) -> None:
    """What is under way ends first; then it is deleted."""
    with begun(lake, tmp_path, "--only=storages", "--size=400MB") as process:
        wait_until(process, lambda: bool(files_on_disks(lake)))
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=WITHIN_S)
    assert process.returncode == 130
    assert "; interrupted; nothing left" in told
    assert_nothing_is_left(lake, tmp_path)


def test_what_a_killed_probe_has_made_is_taken_away_by_the_next(lake: LakeHome, tmp_path: Path) -> None:
    """Its files and its jobs; until then they are on record. While it lives, no other one may begin."""
    with links(lake, hang=True) as fts, begun(lake, tmp_path) as process:
        wait_until(process, lambda: files_on_disks(lake).count("source") == 3 and len(jobs(tmp_path)) == 6)
        submitted = jobs(tmp_path)
        wait_until(process, lambda: "unknown" not in job_states(fts, submitted))
        second = fdr(lake, tmp_path, "probe")
        assert second.returncode == 6
        assert f"another fdr probe is under way in {tmp_path} (process {process.pid}, since " in second.stdout
        process.kill()
        process.wait()
        assert files_on_disks(lake)
        (record,) = records(tmp_path)
        assert (
            len(record_of(tmp_path, record.stem.removeprefix("probe-"), "local").read().places) == 6 + 3 + 6
        )
        assert job_states(fts, submitted) & {"SUBMITTED", "READY", "ACTIVE"}
        done = probe(lake, tmp_path, "--only=storages")
        assert (done.code, done.told["earlier"]["probes"]) == (0, 1)
        assert not any(done.told["earlier"]["left"].values())
        assert job_states(fts, submitted) == {"CANCELED"}
        assert_nothing_is_left(lake, tmp_path)
