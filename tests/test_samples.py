"""What fdr says of its own use is its own."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = "from fdr.samples import own_usage; print(own_usage(0.0, 7).memory_peak_bytes)"


def test_the_peak_memory_is_not_that_of_the_process_that_started_it() -> None:
    """A child of a process that holds 300 MB says what it needs itself."""
    ballast = bytearray(b"x") * 300_000_000
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert len(ballast) == 300_000_000
    assert 10_000_000 < int(done.stdout) < 200_000_000
