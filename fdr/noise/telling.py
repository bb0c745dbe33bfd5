"""Tell what a pass of noise came to: to people, programs and Prometheus."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry
from rich.console import Console

from fdr import live
from fdr.exposition import Prometheus
from fdr.metrics import Planned
from fdr.noise import tell
from fdr.noise.numbers import JOB
from fdr.noise.result import Result


@dataclass(frozen=True, slots=True)
class Telling:
    """How a pass is told: to whom, as what, and which Prometheus gets its numbers."""

    console: Console
    errors: Console
    as_json: bool = False
    in_full: bool = False
    file: Path | None = None
    gateway: str | None = None

    def check(self) -> None:
        """Raise UsageError where numbers could not be handed over."""
        Prometheus(self.file, self.gateway).check()

    def say(self, text: str) -> None:
        """Tell a person what is not a result."""
        self.errors.print(f"fdr: {text}", markup=False, highlight=False, soft_wrap=True)

    def tell(self, result: Result) -> None:
        """Tell what a pass came to."""
        if self.as_json:
            print(json.dumps(tell.as_json(result)), flush=True)
            return
        self._line(tell.summary(result))
        if self.in_full:
            self._line(tell.heading(result))
            self.console.print(tell.matrix(result))
            for line in tell.details(result):
                self._line(line)

    def hand_over(self, numbers: CollectorRegistry, lake: str) -> bool:
        """Hand numbers to Prometheus and say where that failed; return whether it succeeded everywhere."""
        problems = list(Prometheus(self.file, self.gateway).hand_over(numbers, JOB, lake))
        for problem in problems:
            self.say(problem)
        return not problems

    async def show(self, journal: Path, planned: Planned, over: asyncio.Event) -> None:
        """Show a person at a terminal how a pass goes on."""
        if self.errors.is_terminal:
            await live.show(journal, planned, self.errors, over)
        else:
            await over.wait()

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)
