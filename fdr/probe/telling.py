"""Tell what a probe came to: to people, programs and Prometheus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from rich.console import Console

from fdr.exposition import Prometheus
from fdr.probe import tell
from fdr.probe.numbers import JOB
from fdr.probe.result import Result


@dataclass(frozen=True, slots=True)
class Telling:
    """How a probe is told: to whom, as what, and which Prometheus gets its numbers."""

    console: Console
    errors: Console
    prometheus: Prometheus
    as_json: bool = False
    in_full: bool = False

    def say(self, text: str) -> None:
        """Tell a person what is not a result."""
        self.errors.print(f"fdr: {text}", markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Show a person at a terminal that something goes on."""
        if not self.errors.is_terminal:
            yield
            return
        with self.errors.status("probing: Ctrl-C ends it orderly"):
            yield

    def tell(self, result: Result) -> None:
        """Tell what a probe came to: in full where that is asked for, or to a person at a terminal."""
        if self.as_json:
            print(json.dumps(tell.as_json(result)), flush=True)
            return
        self._line(tell.summary(result))
        if not (self.in_full or self.console.is_terminal):
            return
        for heading, table in tell.matrices(result):
            self._line(heading)
            self.console.print(table)
        for line in tell.details(result):
            self._line(line)

    def hand_over(self, numbers: CollectorRegistry, lake: str) -> bool:
        """Hand numbers to Prometheus and say where that failed; return whether it succeeded everywhere."""
        problems = list(self.prometheus.hand_over(numbers, JOB, lake))
        for problem in problems:
            self.say(problem)
        return not problems

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)
