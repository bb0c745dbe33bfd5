"""Run a command now and on every beat from now on, until interrupted: what ``fdr noise --every`` does."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from fdr.clock import Clock, SteadyClock
from fdr.errors import ExitCode
from fdr.noise.beats import beat_at, next_beat
from fdr.units import format_duration

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Passes:
    """Runs passes one after another, each in a process of its own: what libraries keep goes with it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self.interrupted = threading.Event()

    def make_one(self) -> int:
        """Run the command to its end and return its exit code; it gets every signal, as an interrupt."""
        # In a process group of its own, or Ctrl-C at a terminal would reach it twice.
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, process_group=0)
        if self.interrupted.is_set():  # just before there was anyone to tell
            self._process.send_signal(signal.SIGINT)
        code = self._process.wait()
        self._process = None
        return code

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._interrupt) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _interrupt(self, *_: object) -> None:
        self.interrupted.set()
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)


def on_beats(command: Sequence[str], every_s: float, clock: Clock | None = None) -> ExitCode:
    """Run a command now and on every beat, until interrupted; return that exit code.

    A pass that takes longer than a beat makes the next ones be skipped, which is said. However a pass ends,
    the next is made, but for a first one that ends as bad usage does: then that is returned.
    """
    clock = clock or SteadyClock()
    first_at, beat = clock.now(), 0
    passes = _Passes(command)
    with passes.interruptible():
        while not passes.interrupted.is_set():
            code = passes.make_one()
            if beat == 0 and code == ExitCode.USAGE:
                return ExitCode.USAGE
            last, beat = beat, next_beat(first_at, every_s, beat, clock.now())
            if beat > last + 1 and not passes.interrupted.is_set():
                _say_skipped(beat - last - 1, every_s)
            passes.interrupted.wait(max(0.0, beat_at(first_at, every_s, beat) - clock.now()))
    return ExitCode.INTERRUPTED


def _say_skipped(beats: int, every_s: float) -> None:
    word = "beat is" if beats == 1 else "beats are"
    took = format_duration(every_s)
    print(f"fdr: the pass took longer than {took}: {beats} {word} skipped", file=sys.stderr, flush=True)
