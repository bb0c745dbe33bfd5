"""A lock that another process holds, until it is killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_elsewhere(imports: str, lock: str) -> Iterator[int]:
    """Let another process hold a lock, a context manager in Python, for the block; then kill it.

    Yields the id of the process.
    """
    program = (
        f"import os, sys; from pathlib import Path; {imports}\n"
        f"with {lock}:\n"
        "    print('held', flush=True); sys.stdin.read(1); os.kill(os.getpid(), 9)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        yield holder.pid
        holder.stdin.write(b"x")
        holder.stdin.flush()
        assert holder.wait(10) == -9
