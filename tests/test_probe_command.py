"""The command line of a probe: what it refuses, and what it says where there is no lake."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.xrootd_fixtures import silent_server

SECRET = "s3cr3t-passw0rd"
NO_LAKE = (
    f"[client]\nrucio_host = http://127.0.0.1:9\nauth_type = userpass\nusername = u\npassword = {SECRET}\n"
)
SMOKE = Path(__file__).parents[1] / "scenarios" / "smoke.yaml"


def probe(tmp_path: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it on a lake where nobody is."""
    cfg = tmp_path / "rucio.cfg"
    cfg.write_text(NO_LAKE)
    return subprocess.run(
        [sys.executable, "-m", "fdr", "probe", f"--lake={cfg}", *map(str, options)],
        env={**os.environ, "FDR_RUNS": str(tmp_path / "runs")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["A||B"], "the RSEs: "),
        (["--size=0"], "--size: "),
        (["--size=1 parsec"], "--size: "),
        (["--timeout=0.1s"], "--timeout: is too short (write for example 30s)"),
        (["--transfer-timeout=soon"], "--transfer-timeout: "),
        (["--account=no such"], "--account: "),
        ([f"--scenario={SMOKE}", "A"], "--scenario names the RSEs: leave the RSE expression out"),
        (["--pushgateway=nowhere"], "--pushgateway: is not a URL"),
        (["--prometheus-file=/nowhere/fdr.prom"], "there is no directory /nowhere"),
    ],
)
def test_bad_usage_is_said_before_anything_is_asked(tmp_path: Path, options: list[str], said: str) -> None:
    """With the option that is to be mended, and exit code 2."""
    done = probe(tmp_path, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not (tmp_path / "runs").exists()


def test_one_half_is_one_of_two(tmp_path: Path) -> None:
    """Typer says which there are."""
    done = probe(tmp_path, "--only=nothing")
    assert done.returncode == 2
    assert "storages" in done.stderr
    assert "transfers" in done.stderr


def test_a_lake_that_is_not_there_is_told_and_prometheus_too(tmp_path: Path) -> None:
    """Exit code 5; the numbers of steps are gone, and the exit code stands in their place."""
    numbers = tmp_path / "fdr.prom"
    done = probe(tmp_path, f"--prometheus-file={numbers}")
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.startswith("fdr: Rucio cannot be reached")
    assert SECRET not in done.stderr + numbers.read_text()
    assert 'fdr_probe_last_exit_code{lake="http://127.0.0.1:9"} 5.0' in numbers.read_text()
    assert "step_ok" not in numbers.read_text()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["probe.lock"]


def test_one_that_is_interrupted_before_anything_is_made_ends_at_once(tmp_path: Path) -> None:
    """Though Rucio hangs."""
    with silent_server() as port:
        cfg = tmp_path / "rucio.cfg"
        cfg.write_text(NO_LAKE.replace(":9", f":{port}"))
        process = subprocess.Popen(
            [sys.executable, "-m", "fdr", "probe", f"--lake={cfg}"],
            env={**os.environ, "FDR_RUNS": str(tmp_path / "runs")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        deadline = time.monotonic() + 30
        while not connections_of(process.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        told, _ = process.communicate(timeout=15)
    assert (process.returncode, told) == (130, "fdr: broken off; nothing was made\n")


def connections_of(pid: int) -> int:
    """Return how many connections a process has."""
    return len(psutil.Process(pid).net_connections(kind="tcp"))
