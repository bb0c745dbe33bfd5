"""Run Rucio's daemons, each a fork of this process, where no keeper runs: end with the first that ends.

Importing Rucio takes seconds, and a container with a dozen daemons would take a minute. It is run as
``python -m fdr.lake.keeper.daemons [NAME]...`` with a RUCIO_CONFIG, by a Python that has Rucio and knows
nothing else of fdr; without names it runs all of them.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback

from fdr.lake.keeper import programs

GRACE_S = 10


def main(names: list[str]) -> int:
    """Run daemons until one ends or we are told to end; return 0 only in the latter case."""
    unknown = set(names) - set(programs.DAEMONS)
    if unknown:
        print(f"no such daemon: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    programs.load_daemons()
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    running = {_fork(name): name for name in names or programs.DAEMONS}
    print(f"{len(running)} daemons run", flush=True)
    while not told.wait(0.5) and len(_alive(running)) == len(running):
        pass
    gone = [name for pid, name in running.items() if pid not in _alive(running)]
    if not told.is_set():
        print(f"{', '.join(gone)} ended by itself", file=sys.stderr, flush=True)
    _end(running)
    return 0 if told.is_set() else 1


def _fork(name: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        programs.run(name)
        while any(thread.is_alive() for thread in _others()):  # some return before their threads have ended
            time.sleep(0.1)
        status = 0
    except BaseException:  # the log of the container is the only place left to say it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _others() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one is not threading.main_thread() and not one.daemon]


def _alive(running: dict[int, str]) -> set[int]:
    """Return which of the processes have not ended; one that has stays to be asked."""
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return {pid for pid in running if os.waitid(os.P_PID, pid, flags) is None}


def _end(running: dict[int, str]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in _alive(running):
            os.kill(pid, number)
        deadline = time.monotonic() + GRACE_S
        while _alive(running) and time.monotonic() < deadline:
            time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
