"""Injection, whole: fdr against Rucio's UploadClient in threads, and against a bare loop of the same calls.

Usage: python -m benchmarks.injection [FILES] [ROUNDS]

Each file of 1 kB is put over root:// with its checksum verified by the storage, registered, and attached to a
dataset that has a rule; `rucio upload` makes a rule for the file instead. On one lake, one after the other,
round after round; medians and ratios are printed. The usual ways get fewer files: they are slow. The CPU of
the two that are programs of their own includes their start.
"""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from benchmarks.stage import RSES, heading, in_turn, median, one_experiment, stage
from fdr.catalog import MAX_FILES_PER_CALL, RseFacts
from fdr.connection import read_connection
from fdr.journal.reader import read_journal
from fdr.lake.home import LakeHome
from fdr.lake.install import lake_python
from fdr.lake.shell import exports
from fdr.model import Did, GeneratorUsage, Outcome
from fdr.payload import Payload
from fdr.pfn import Locator
from fdr.rucio_catalog import _write_prefixes
from fdr.rucio_client import new_client
from fdr.storage.gfal_context import gfal_context, gfal_environment, load_gfal2

SIZE = 1000
PER_DATASET = 250
PUTS_AT_ONCE = 16  # at an RSE, as fdr has it
UPLOAD_CLIENT_THREADS = 4
ACCOUNT, SCOPE = "bench", "bench"
ADMINISTRATOR = (
    "root"  # nobody else may add replicas by themselves under the generic policy, as UploadClient does
)
LIFETIME_S = 6 * 3600
Put = tuple[int, str, str]  # a file's number, its name and adler32


def by_fdr(lake: LakeHome, files: int) -> dict[str, float]:
    """Run a scenario that is due within a second, and read from its journal how long it took."""
    from rich.console import Console

    from fdr.changes import Changes
    from fdr.rehearse import rehearse

    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        path = Path(folder) / "injection.yaml"
        path.write_text(one_experiment("injection", files, "1s"))
        run = Path(folder) / "run"
        code = rehearse(path, Changes(), str(lake.client_cfg), run, False, Console(file=sys.stderr))
        with read_journal(run / "journal.sqlite") as reader:
            events = list(reader.events())
    if code:
        raise SystemExit(f"the run ended with {code}")
    outcomes = [event for event in events if isinstance(event, Outcome)]
    registered = [one for one in outcomes if one.step == "register" and one.ending == "ok"]
    if len(registered) != files:
        raise SystemExit(f"{len(registered)} files of {files} were registered")
    usage = [event for event in events if isinstance(event, GeneratorUsage)]
    seconds = max(one.ended_at for one in registered) - min(one.begun_at for one in outcomes)
    cpu = usage[-1].cpu_seconds - usage[0].cpu_seconds
    return told(len(registered), seconds, cpu)


class Bare:
    """Puts and calls as fdr makes them, with nothing round them: for threads, and nothing written down."""

    def __init__(self, lake: LakeHome) -> None:
        """Log in, and find out where files lie."""
        connection = read_connection(lake.client_cfg)
        self._gfal2 = load_gfal2(gfal_environment(60, connection.x509_cert_dir, loopback_only=True))
        self._own = threading.local()
        self.prefix = f"bare-{time.time_ns()}"
        os.environ["RUCIO_CONFIG"] = str(connection.rucio_cfg)
        with tempfile.TemporaryDirectory() as tokens:
            self.client = new_client(connection, ACCOUNT, Path(tokens), 60, may_ask=False)
            self._locators = {rse: locator(self.client, rse) for rse in RSES}

    def put(self, number: int) -> Put:
        """Put a file from memory, its checksum asked of the storage."""
        name = f"{self.prefix}/{number // PER_DATASET:05d}/{number:07d}"
        payload = Payload(name, SIZE)
        adler32 = payload.adler32()
        if not hasattr(self._own, "context"):
            self._own.context = gfal_context(self._gfal2, 60)
        parameters = self._own.context.transfer_parameters()
        parameters.create_parent = True
        parameters.timeout = 61
        parameters.set_checksum(self._gfal2.checksum_mode.target, "ADLER32", adler32)
        descriptor = os.memfd_create("bare")
        for chunk in payload.chunks():
            os.write(descriptor, chunk)
        url = self._locators[RSES[number % len(RSES)]].url(Did(SCOPE, name))
        self._own.context.filecopy(parameters, f"file:///proc/self/fd/{descriptor}", url)
        os.close(descriptor)
        return number, name, adler32


def by_puts_alone(lake: LakeHome, files: int) -> dict[str, float]:
    """Put the files and register none: what gfal2 and XRootD's client take."""
    bare = Bare(lake)
    begun, begun_cpu = time.monotonic(), time.process_time()
    with ThreadPoolExecutor(PUTS_AT_ONCE * len(RSES)) as pool:
        for _ in pool.map(bare.put, range(files)):
            pass
    return told(files, time.monotonic() - begun, time.process_time() - begun_cpu)


def by_bare_loop(lake: LakeHome, files: int) -> dict[str, float]:
    """Make the same calls and the same puts with threads: whatever has been put goes into the next group."""
    bare = Bare(lake)
    begun, begun_cpu = time.monotonic(), time.process_time()
    rule = {
        "account": ACCOUNT, "copies": 1, "rse_expression": "QOS=BENCH", "lifetime": LIFETIME_S,
        "activity": "Functional Test", "purge_replicas": True, "grouping": "NONE",
    }  # fmt: skip
    datasets = [f"{bare.prefix}/dataset-{number:05d}" for number in range(-(-files // PER_DATASET))]
    for dataset in datasets:
        bare.client.add_dataset(SCOPE, dataset, rules=[rule], lifetime=LIFETIME_S)
    waiting: SimpleQueue[Put] = SimpleQueue()
    with ThreadPoolExecutor(PUTS_AT_ONCE * len(RSES)) as pool:
        puts = [pool.submit(lambda number: waiting.put(bare.put(number)), number) for number in range(files)]
        left = files
        while left:
            group = [waiting.get()]
            while len(group) < MAX_FILES_PER_CALL and not waiting.empty():
                group.append(waiting.get())
            bare.client.attach_dids_to_dids(attachments(bare.prefix, group), ignore_duplicate=True)
            left -= len(group)
        for put in puts:
            put.result()
    seconds = time.monotonic() - begun
    for dataset in datasets:
        bare.client.set_status(SCOPE, dataset, open=False)
    return told(files, seconds, time.process_time() - begun_cpu)


def attachments(prefix: str, group: list[Put]) -> list[dict[str, Any]]:
    """Return the body of one registration."""
    found: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for number, name, adler32 in group:
        key = number // PER_DATASET, RSES[number % len(RSES)]
        found.setdefault(key, []).append({"scope": SCOPE, "name": name, "bytes": SIZE, "adler32": adler32})
    return [
        {"scope": SCOPE, "name": f"{prefix}/dataset-{dataset:05d}", "rse": rse, "dids": dids}
        for (dataset, rse), dids in found.items()
    ]


def by_upload_client(lake: LakeHome, files: int) -> dict[str, float]:
    """Upload from files on a disk, each thread with a client of its own, into datasets with a rule."""
    import logging

    connection = read_connection(lake.client_cfg)
    os.environ["RUCIO_CONFIG"] = str(connection.rucio_cfg)
    load_gfal2(gfal_environment(60, connection.x509_cert_dir, loopback_only=True))
    from rucio.client.uploadclient import UploadClient

    quiet = logging.getLogger("quiet")
    quiet.setLevel(logging.CRITICAL)
    prefix = f"uploadclient-{time.time_ns()}"
    own = threading.local()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        for number in range(files):
            (Path(folder) / f"{number:07d}").write_bytes(os.urandom(SIZE))

        def client(thread: str) -> Any:
            if not hasattr(own, "client"):
                token = Path(folder) / f"token-{thread}"
                rucio = new_client(connection, ADMINISTRATOR, token, 60, may_ask=False)
                own.client = UploadClient(_client=rucio, logger=quiet)
            return own.client

        def upload(number: int) -> None:
            dataset = number // PER_DATASET
            client(threading.current_thread().name).upload([
                {
                    "path": f"{folder}/{number:07d}", "rse": RSES[number % len(RSES)], "did_scope": SCOPE,
                    "did_name": f"{prefix}-{number:07d}", "dataset_scope": SCOPE,
                    "dataset_name": f"{prefix}-dataset-{dataset:05d}", "force_scheme": "root",
                }
            ])  # fmt: skip

        with ThreadPoolExecutor(UPLOAD_CLIENT_THREADS) as pool:
            for warmed in as_completed([pool.submit(client, str(n)) for n in range(UPLOAD_CLIENT_THREADS)]):
                warmed.result()
            begun, begun_cpu = time.monotonic(), time.process_time()
            upload(0)  # makes the dataset: two at once would meet
            for done in as_completed([pool.submit(upload, number) for number in range(1, files)]):
                done.result()
            seconds = time.monotonic() - begun
    return told(files, seconds, time.process_time() - begun_cpu)


def by_rucio_upload(lake: LakeHome, files: int) -> dict[str, float]:
    """Upload with the stock command line, a command a file, as an administrator in a loop of the shell."""
    name = f"cli-{time.time_ns()}"
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        for number in range(files):
            (Path(folder) / f"{name}-{number}").write_bytes(os.urandom(SIZE))
        loop = f"for file in {folder}/*; do rucio upload --rse {RSES[0]} --scope {SCOPE} $file; done"
        begun, before = time.monotonic(), os.times()
        subprocess.run(["bash", "-ec", f"{exports(lake)}\n{loop}"], check=True, stdout=sys.stderr)
        seconds, after = time.monotonic() - begun, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return told(files, seconds, cpu)


def by_automatix(lake: LakeHome, files: int) -> dict[str, float]:
    """Let Rucio's own daemon for test data make one dataset at each of the RSEs."""
    config = configparser.ConfigParser(interpolation=None)
    config.read([lake.server_cfg, lake.client_cfg])
    config["common"]["loglevel"] = "INFO"  # it says there what it has done
    config["automatix"] = {
        "rses": "QOS=BENCH",
        "account": ADMINISTRATOR,
        "scope": SCOPE,
        "set_metadata": "False",
    }
    each = -(-files // len(RSES))
    distribution = {"bench": {"probability": 1, "nbfiles": each, "filesize": SIZE, "metadata": {}}}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        cfg, wanted = Path(folder) / "rucio.cfg", Path(folder) / "automatix.json"
        with cfg.open("w") as file:
            config.write(file)
        wanted.write_text(json.dumps(distribution))
        command = [lake_python().with_name("rucio-automatix"), "--run-once", "--input-file", wanted]
        env = {**os.environ, "RUCIO_CONFIG": str(cfg)}
        env |= gfal_environment(60, read_connection(lake.client_cfg).x509_cert_dir, loopback_only=True)
        begun, before = time.monotonic(), os.times()
        done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
        seconds, after = time.monotonic() - begun, os.times()
    if done.stdout.count("successfully registered") != len(RSES):
        raise SystemExit(done.stdout + done.stderr)
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return told(each * len(RSES), seconds, cpu)


def locator(client: Any, rse: str) -> Locator:
    """Return where files lie at an RSE."""
    settings = client.get_rse(rse)
    return Locator(RseFacts(rse, True, True, _write_prefixes(settings["protocols"]), settings))


def told(files: int, seconds: float, cpu: float) -> dict[str, float]:
    """Return the figures of one run."""
    return {"files": files, "files_per_s": round(files / seconds, 2), "cpu_ms": round(cpu / files * 1000, 3)}


CONTESTANTS = {
    "fdr": by_fdr,
    "bare": by_bare_loop,
    "puts-alone": by_puts_alone,
    "upload-client": by_upload_client,
    "automatix": by_automatix,
    "rucio-upload": by_rucio_upload,
}
MOST_FILES = {"upload-client": 80, "automatix": 30, "rucio-upload": 4}


def main() -> None:
    """Run one contestant, as this script's own child does, or all of them in turn."""
    if len(sys.argv) > 1 and sys.argv[1] in CONTESTANTS:
        with contextlib.redirect_stdout(sys.stderr):
            figures = CONTESTANTS[sys.argv[1]](LakeHome(Path(sys.argv[2])), int(sys.argv[3]))
        print(json.dumps(figures))
        return
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with stage() as at:
        at.scenario("injection", one_experiment("injection", files, "1s"))
        command = [sys.executable, "-m", "benchmarks.injection"]
        counts = {name: str(min(files, MOST_FILES.get(name, files))) for name in CONTESTANTS}
        commands = {name: [*command, name, str(at.lake.directory), count] for name, count in counts.items()}
        results = in_turn(commands, rounds, at.environment)
    rate = {name: median(runs, "files_per_s") for name, runs in results.items()}
    cpu = {name: median(runs, "cpu_ms") for name, runs in results.items()}
    print(heading())
    for name in CONTESTANTS:
        print(f"{name:14} {rate[name]:8.1f} files/s  {cpu[name]:7.2f} ms of client CPU a file")
    print(f"fdr / UploadClient: {rate['fdr'] / rate['upload-client']:.1f}")
    print(f"fdr / bare loop:    {rate['fdr'] / rate['bare']:.2f}")
    print(f"fdr's CPU a file but for the put: {cpu['fdr'] - cpu['puts-alone']:.2f} ms")


if __name__ == "__main__":
    main()
