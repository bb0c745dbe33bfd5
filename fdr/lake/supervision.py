"""Talk to the keeper of the lake's processes: its configuration, and its XML-RPC interface."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import time
import xmlrpc.client
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisor.xmlrpc import Faults

from fdr.errors import LakeUnusable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fdr.lake.home import LakeHome
    from fdr.lake.service import Service

KEEPER = "keeper"
PROCESS_MARK = "FDR_LAKE_PROCESS"
ALIVE = ("STARTING", "RUNNING", "BACKOFF", "STOPPING")
LOG_BYTES = "10MB"
ANSWER_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Process:
    """A process as the keeper sees it; ``pid`` is 0 when it does not run, ``started_at`` Unix seconds."""

    name: str
    state: str
    pid: int
    started_at: float
    exit_status: int
    why: str


def write_keeper_configuration(home: LakeHome, services: Iterable[Service], once: Sequence[str]) -> None:
    """Write the supervisord.conf for these services; those in ``once`` are not restarted when they end."""
    sections = [
        "[unix_http_server]",
        f"file={home.keeper_socket}",
        "chmod=0700",
        "[supervisord]",
        f"logfile={home.logs}/{KEEPER}.log",
        f"logfile_maxbytes={LOG_BYTES}",
        "logfile_backups=1",
        f"pidfile={home.run}/{KEEPER}.pid",
        f"childlogdir={home.logs}",
        f"directory={home.directory}",
        "identifier=fdr",
        "nodaemon=true",
        "silent=true",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for service in services:
        environment = {"FDR_STOP_SIGNAL": f"SIG{service.stop_signal}", **service.environment}
        pairs = ",".join(f'{key}="{value}"' for key, value in environment.items())
        sections += [
            f"[program:{service.name}]",
            f"command={_escaped(shlex.join(service.command))}",
            f"environment={_escaped(pairs)}",
            f"priority={service.priority}",
            f"stopsignal={service.stop_signal}",
            "stopwaitsecs=10",
            "autostart=false",
            "redirect_stderr=true",
            f"stdout_logfile={home.logs}/{service.name}.log",
            f"stdout_logfile_maxbytes={LOG_BYTES}",
            "stdout_logfile_backups=1",
            *([f"user={service.user}"] if service.user else []),
            *(
                ["autorestart=false", "startsecs=0"]
                if service.name in once
                else ["autorestart=true", "startsecs=1"]
            ),
        ]
    path = home.etc / "supervisord.conf"
    path.write_text("\n".join(sections) + "\n")
    path.chmod(0o600)


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


class Keeper:
    """The keeper of one lake. Every call raises LakeUnusable when the keeper does not answer."""

    def __init__(self, home: LakeHome) -> None:
        """Take the lake; nothing is sent yet."""
        self._home = home

    def start(self, python: Path) -> int:
        """Start the keeper, which outlives us, and return its process id."""
        library = self._home.run / "lib"
        library.mkdir(exist_ok=True)
        package = library / "fdr"
        package.unlink(missing_ok=True)
        package.symlink_to(Path(__file__).parents[1])
        restarts = self._home.run / "restarts.json"
        restarts.write_text("{}")
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            "TZ": "UTC",  # Rucio compares the database's clock with its own in UTC
            "PYTHONPATH": str(library),
            "PYTHONDONTWRITEBYTECODE": "1",
            "RUCIO_CONFIG": str(self._home.server_cfg),
            "FDR_LAKE_RESTARTS": str(restarts),
            PROCESS_MARK: str(self._home.directory),
        }
        with (self._home.logs / f"{KEEPER}.log").open("a") as output:
            keeper = [str(python), "-m", "fdr.lake.keeper", "-c", str(self._home.etc / "supervisord.conf")]
            started = subprocess.run(
                ["/bin/sh", "-c", '"$@" >&2 & echo $!', "sh", *keeper],  # it is to be nobody's child
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
                env=environment,
                cwd=self._home.directory,
                start_new_session=True,
                text=True,
                check=True,
            )
        return int(started.stdout)

    def answers(self) -> bool:
        """Tell whether the keeper is there."""
        try:
            with self._call() as supervisor:
                return bool(supervisor.getState()["statename"] == "RUNNING")
        except LakeUnusable:
            return False

    def pid(self) -> int:
        """Return the keeper's own process id."""
        with self._call() as supervisor:
            return int(supervisor.getPID())

    def processes(self) -> dict[str, Process]:
        """Return every process the keeper knows, by name."""
        with self._call() as supervisor:
            return {
                row["name"]: Process(
                    row["name"],
                    row["statename"],
                    row["pid"],
                    float(row["start"]),
                    row["exitstatus"],
                    row["spawnerr"] or row["description"],
                )
                for row in supervisor.getAllProcessInfo()
            }

    def keeps(self, name: str) -> bool:
        """Tell whether a process runs or will: that it has neither ended nor been given up."""
        return self.processes()[name].state not in ("FATAL", "EXITED", "UNKNOWN")

    def begin(self, names: Iterable[str]) -> None:
        """Start processes that do not run, without waiting for them."""
        running = {name for name, process in self.processes().items() if process.pid}
        for name in names:
            if name not in running:
                with self._call() as supervisor:
                    supervisor.startProcess(name, False)

    def end(self, names: Iterable[str], within_s: float = 20) -> None:
        """Stop processes, all at once, and wait until they have ended."""
        wanted = set(names)
        stopping = [
            name for name, process in self.processes().items() if name in wanted and process.state in ALIVE
        ]
        for name in stopping:
            with self._call() as supervisor, _already_over():
                supervisor.stopProcess(name, False)
        deadline = time.monotonic() + within_s
        while any(self.processes()[name].state in ALIVE for name in stopping):
            if time.monotonic() > deadline:
                raise LakeUnusable(f"{', '.join(stopping)}: did not all stop within {within_s:.0f} s")
            time.sleep(0.05)

    def restart(self, names: Iterable[str]) -> None:
        """Stop and start processes; this does not count as a restart."""
        names = list(names)
        self.end(names)
        self.begin(names)

    def reread(self) -> None:
        """Take over programs that were added to the configuration or changed in it.

        What runs and has changed is started anew; what was added is not started.
        """
        with self._call() as supervisor:
            added, changed, removed = supervisor.reloadConfig()[0]
        before = self.processes()
        self.end([*changed, *removed])
        with self._call() as supervisor:
            for name in (*changed, *removed):
                supervisor.removeProcessGroup(name)
            for name in (*added, *changed):
                supervisor.addProcessGroup(name)
        self.begin(name for name in changed if before[name].state in ALIVE)

    def shut_down(self) -> None:
        """Tell the keeper to stop what still runs, and itself."""
        with self._call() as supervisor:
            supervisor.shutdown()

    @contextmanager
    def _call(self) -> Iterator[Any]:
        transport = _UnixTransport(self._home.keeper_socket)
        try:
            with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as server:
                yield server.supervisor
        except TimeoutError as error:
            raise LakeUnusable(
                f"the keeper of {self._home.directory} is silent: run 'fdr lake down'"
            ) from error
        except (OSError, HTTPException) as error:
            raise LakeUnusable(f"{self._home.directory}: the lake is not up: run 'fdr lake up'") from error
        except xmlrpc.client.Fault as error:
            raise LakeUnusable(f"the keeper of the lake's processes refused: {error.faultString}") from error


class _UnixTransport(xmlrpc.client.Transport):
    """XML-RPC over a Unix socket; an answer that does not come in ANSWER_WITHIN_S is a TimeoutError."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: tuple[str, dict[str, str]] | str) -> HTTPConnection:
        known = self._connection[1]
        if known is not None:
            return known
        connection = _UnixConnection(self._path)
        self._connection = host, connection  # what close() of the class closes
        return connection


class _UnixConnection(HTTPConnection):
    """An HTTP connection over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ANSWER_WITHIN_S)
        self.sock.connect(str(self._path))


@contextmanager
def _already_over() -> Iterator[None]:
    """Let a process that ended by itself be told to end."""
    try:
        yield
    except xmlrpc.client.Fault as error:
        if error.faultCode != Faults.NOT_RUNNING:
            raise
