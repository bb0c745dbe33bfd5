"""The worker processes of the service: lends one to each copy, and replaces those that hang or die."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from fdr.lake.fts.config import Config
from fdr.lake.fts.job import Ending
from fdr.lake.fts.order import Order, Report

CANCEL_GRACE_S = 3.0
STEPS_BEFORE = 4  # at most so many operations stand before the copy itself
LONGEST_LINE = 2**20
TIMED_OUT = "[110] The transfer process did not answer in time (Connection timed out)"
DIED = Ending(reason="TRANSFER [104] Transfer process died", recoverable=True)


class Lost(Exception):
    """A worker that must be replaced, and what became of its transfer."""

    def __init__(self, ending: Ending) -> None:
        """Take the ending of its transfer."""
        super().__init__(ending.reason)
        self.ending = ending


class Worker:
    """One process, and the pipes to it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Take the process."""
        self.process = process
        self.pid = process.pid

    def send(self, message: object) -> None:
        """Write one line to it; one that has died is noticed when it is read from."""
        assert self.process.stdin is not None
        with suppress(ConnectionError):
            self.process.stdin.write(json.dumps(message).encode() + b"\n")

    async def report(self) -> Report | None:
        """Return its next report, None when it has died."""
        assert self.process.stdout is not None
        with suppress(ConnectionError, ValueError):
            line = await self.process.stdout.readline()
            if line:
                return Report.from_line(line)
        return None

    def kill(self) -> None:
        """End it at once; asyncio's own kill could take its exit code from asyncio's watcher."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


class Crew:
    """Up to ``config.workers`` processes, started when they are first needed."""

    def __init__(self, config: Config, config_path: Path) -> None:
        """Take the configuration, and the file it is in, which the workers read too."""
        self._config = config
        self._command = (sys.executable, "-m", "fdr.lake.fts.worker", str(config_path))
        self._environment = _environment(config, os.environ)
        self._places = asyncio.Semaphore(config.workers)
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()

    async def copy(
        self, order: Order, started: Callable[[int], None], prepared: Callable[[int, int], None]
    ) -> Ending:
        """Copy a file and return how it ended.

        ``started`` is called with the pid when a process takes the order, ``prepared`` with size and
        time-out when the source was seen. A process that is silent beyond its time-outs is killed. When
        this call is cancelled, gfal2 is asked to stop, and after a grace of 3 s the process is killed.
        """
        async with self._places:
            worker = self._idle.pop() if self._idle else await self._hire()
            try:
                worker.send(asdict(order))
                started(worker.pid)
                ending = await self._follow(worker, prepared)
            except asyncio.CancelledError:
                await self._stop(worker)
                raise
            except Lost as lost:
                self._dismiss(worker)
                return lost.ending
            self._idle.append(worker)
            return ending

    def close(self) -> None:
        """Kill every process."""
        for worker in list(self._all):
            self._dismiss(worker)

    async def _follow(self, worker: Worker, prepared: Callable[[int, int], None]) -> Ending:
        """Return how the copy of a worker ended; raises Lost when it dies or does not say."""
        scope, filesize = "SOURCE", 0
        patience_s: float = STEPS_BEFORE * self._config.operation_timeout_s
        try:
            async with asyncio.timeout(patience_s) as limit:
                while (report := await worker.report()) is not None:
                    if report.ending is not None:
                        return report.ending
                    scope, filesize = report.scope, report.filesize
                    if scope == "TRANSFER":
                        prepared(filesize, report.timeout_s)
                        limit.reschedule(asyncio.get_running_loop().time() + report.timeout_s + patience_s)
        except TimeoutError as error:
            raise Lost(Ending(f"{scope} {TIMED_OUT}", recoverable=True, filesize=filesize)) from error
        raise Lost(DIED)

    async def _hire(self) -> Worker:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self._environment,
            limit=LONGEST_LINE,
            start_new_session=True,
        )
        worker = Worker(process)
        self._all.add(worker)
        return worker

    async def _stop(self, worker: Worker) -> None:
        worker.send("cancel")
        with suppress(TimeoutError):
            async with asyncio.timeout(CANCEL_GRACE_S):
                while (report := await worker.report()) is not None and report.ending is None:
                    pass
        self._dismiss(worker)

    def _dismiss(self, worker: Worker) -> None:
        worker.kill()
        self._all.discard(worker)


def _environment(config: Config, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a worker: time-outs of XRootD's client, and the CA to trust.

    SSL_CERT_FILE replaces the system's bundle of CAs, which davix reads again for every connection:
    22 ms each, where the connection itself takes less than one.
    """
    seconds = str(config.operation_timeout_s)
    environment = {
        **inherited,
        "XRD_CONNECTIONWINDOW": seconds,
        "XRD_CONNECTIONRETRY": "1",
        "XRD_REQUESTTIMEOUT": seconds,
        "XRD_STREAMTIMEOUT": seconds,
        "XRD_STREAMERRORWINDOW": "0",
        "XRD_TIMEOUTRESOLUTION": "1",
        "XRD_CPTPCTIMEOUT": str(config.transfer_timeout_s),
    }
    if config.x509_cert_dir is not None:
        environment["X509_CERT_DIR"] = str(config.x509_cert_dir)
        authorities = sorted(config.x509_cert_dir.glob("*.0"))
        if len(authorities) == 1:
            environment["SSL_CERT_FILE"] = str(authorities[0])
    return environment
