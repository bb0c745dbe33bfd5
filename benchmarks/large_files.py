"""Large files from memory: fdr's put against xrdcp and gfal-copy from a file in memory, on one lake.

Usage: python -m benchmarks.large_files [MEGABYTES] [ROUNDS]

All verify the adler32 at the storage. gfal-copy is in Debian's package gfal2-util-scripts; without it,
xrdcp alone is the measure. fdr's peak memory is printed too: it must not grow with the file.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.injection import SCOPE, locator
from benchmarks.stage import RSES, heading, in_turn, median, one_experiment, stage
from fdr.connection import Connection, read_connection
from fdr.lake.home import LakeHome
from fdr.model import Did
from fdr.payload import Payload
from fdr.rucio_client import new_client
from fdr.storage.gfal import GfalStorage
from fdr.storage.gfal_context import gfal_environment

MEGABYTE = 1_000_000
FASTEST_PUTS = ("fdr", "xrdcp", "gfal-copy")


def url_of(connection: Connection) -> str:
    """Return where to put a file that is not there yet."""
    os.environ["RUCIO_CONFIG"] = str(connection.rucio_cfg)
    with tempfile.TemporaryDirectory() as tokens:
        client = new_client(connection, "root", Path(tokens), 60, may_ask=False)
        return locator(client, RSES[0]).url(Did(SCOPE, f"large/{time.time_ns()}"))


async def by_fdr(connection: Connection, payload: Payload) -> float:
    """Put the payload as a run does; return the seconds."""
    storage = GfalStorage(x509_cert_dir=connection.x509_cert_dir, loopback_only=True)
    url = url_of(connection)
    begun = time.monotonic()
    await storage.put(payload, url)
    took = time.monotonic() - begun
    await storage.delete([url])
    await storage.close()
    return took


def by_command(connection: Connection, payload: Payload, command: list[str]) -> float:
    """Copy the payload from a file in memory with a command; return the seconds."""
    source = Path("/dev/shm") / f"fdr-bench-{os.getpid()}"
    try:
        with source.open("wb") as file:
            for chunk in payload.chunks():
                file.write(chunk)
        url = url_of(connection)
        env = os.environ | gfal_environment(60, connection.x509_cert_dir, loopback_only=True)
        env["GFAL_PYTHONBIN"] = (
            "/usr/bin/python3"  # gfal-copy looks on the PATH, and there is this one's first
        )
        begun = time.monotonic()
        words = {"SOURCE": f"file://{source}", "PATH": str(source), "URL": url}
        subprocess.run([words.get(word, word) for word in command], env=env, check=True)
        took = time.monotonic() - begun
        asyncio.run(removed(connection, url))
        return took
    finally:
        source.unlink(missing_ok=True)


async def removed(connection: Connection, url: str) -> None:
    """Remove what was put."""
    storage = GfalStorage(x509_cert_dir=connection.x509_cert_dir, loopback_only=True)
    await storage.delete([url])
    await storage.close()


def contest(name: str, lake: LakeHome, size: int) -> dict[str, float]:
    """Put one file in one way."""
    connection, payload = read_connection(lake.client_cfg), Payload(f"large {time.time_ns()}", size)
    if name == "fdr":
        took = asyncio.run(by_fdr(connection, payload))
    elif name == "xrdcp":
        command = ["xrdcp", "--silent", "--cksum", f"adler32:{payload.adler32()}", "PATH", "URL"]
        took = by_command(connection, payload, command)
    else:
        checksum = f"ADLER32:{payload.adler32()}"
        command = [
            "gfal-copy",
            "--checksum",
            checksum,
            "--checksum-mode",
            "target",
            "--parent",
            "SOURCE",
            "URL",
        ]
        took = by_command(connection, payload, command)
    peak_mb = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1000
    return {"mb_per_s": round(size / took / MEGABYTE, 1), "peak_mb": round(peak_mb)}


def main() -> None:
    """Put one file, as this script's own child does, or files in every way in turn."""
    if len(sys.argv) > 1 and sys.argv[1] in FASTEST_PUTS:
        with contextlib.redirect_stdout(sys.stderr):
            figures = contest(sys.argv[1], LakeHome(Path(sys.argv[2])), int(sys.argv[3]))
        print(json.dumps(figures))
        return
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    names = [name for name in FASTEST_PUTS if name == "fdr" or shutil.which(name)]
    with stage() as at:
        at.scenario("large", one_experiment("large", 1, "1s"))
        command = [sys.executable, "-m", "benchmarks.large_files"]
        size = str(megabytes * MEGABYTE)
        commands = {name: [*command, name, str(at.lake.directory), size] for name in names}
        results = in_turn(commands, rounds, at.environment)
    rate = {name: median(runs, "mb_per_s") for name, runs in results.items()}
    print(heading())
    for name in names:
        print(f"{name:10} {megabytes} MB: {rate[name]:7.1f} MB/s")
    for name in names[1:]:
        print(f"fdr / {name}: {rate['fdr'] / rate[name]:.2f}")
    print(f"fdr's peak memory: {max(run['peak_mb'] for run in results['fdr']):.0f} MB")


if __name__ == "__main__":
    main()
