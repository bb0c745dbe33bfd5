"""supervisord, with programs that it forks from its own process instead of executing a file.

Importing Rucio costs one to three seconds of CPU. It is imported here once; every Rucio daemon is then
a fork of this process: a process of its own to measure, to kill and to restart, started in
milliseconds, its code shared. A command whose first word is ``rucio:NAME`` is such a program.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisor import events, supervisord
from supervisor.medusa import asyncore_25 as asyncore
from supervisor.options import ServerOptions
from supervisor.states import ProcessStates

from fdr.lake.keeper import programs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX = "rucio:"
PR_SET_NAME = 15
PR_SET_PDEATHSIG = 1
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR2)


class Restarts:
    """How often each service was restarted because it had died; kept in a file for ``status``."""

    def __init__(self, path: Path) -> None:
        """Start from none."""
        self._path = path
        self._counts: dict[str, int] = {}

    def starting(self, event: Any) -> None:
        """Count a start that follows a death."""
        if event.from_state not in (ProcessStates.EXITED, ProcessStates.BACKOFF):
            return
        name = event.process.config.name
        self._counts[name] = self._counts.get(name, 0) + 1
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self._counts))
        new.replace(self._path)


class KeeperOptions(ServerOptions):  # type: ignore[misc]  # supervisor has no types
    """supervisord's options and system calls, with forked programs and counted restarts."""

    def setsignals(self) -> None:
        """Subscribe to process states too: supervisord has just forgotten all subscriptions."""
        super().setsignals()
        restarts = Restarts(Path(os.environ["FDR_LAKE_RESTARTS"]))
        events.subscribe(events.ProcessStateStartingEvent, restarts.starting)

    def check_execv_args(self, filename: str, argv: Sequence[str], st: object) -> None:
        """Let the names of forked programs pass: there is no file to check."""
        if not argv[0].startswith(PREFIX):
            super().check_execv_args(filename, argv, st)

    def execve(self, filename: str, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Become the program, in a child that dies with its keeper. Never returns."""
        die_with(self.keeper_pid, getattr(signal, env.get("FDR_STOP_SIGNAL", "SIGTERM")))
        if not argv[0].startswith(PREFIX):
            super().execve(filename, argv, env)
        become(argv[0].removeprefix(PREFIX), env)


def die_with(parent: int, stop_signal: int) -> None:
    """Ask Linux to end this process when its parent dies, however it dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, stop_signal, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


def become(name: str, env: Mapping[str, str]) -> None:
    """Run a program in this forked process as if it had been executed. Never returns."""
    status = 1
    try:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(env)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        sys.argv = [name]
        ctypes.CDLL(None).prctl(PR_SET_NAME, name[:15].encode(), 0, 0, 0)
        programs.run(name)
        _join_threads()
        status = 0
    except SystemExit as exit_:
        status = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except BaseException:  # the log of the service is the only place left to say it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _join_threads() -> None:
    """Wait for threads as the interpreter does at its end: some daemons return before theirs have ended."""
    for thread in threading.enumerate():
        while thread is not threading.main_thread() and not thread.daemon and thread.is_alive():
            thread.join(timeout=1)  # with a time-out signals are handled meanwhile


def main() -> None:
    """Import what will be forked, then keep processes until told to stop."""
    programs.load()
    options = KeeperOptions()
    options.realize(sys.argv[1:], doc=__doc__)
    options.keeper_pid = os.getpid()
    options.first = True
    options.test = False
    with contextlib.suppress(asyncore.ExitNow):
        supervisord.Supervisor(options).main()
    options.close_httpservers()
    options.close_logger()


if __name__ == "__main__":
    main()
