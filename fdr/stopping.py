"""Ask a run to stop, from another process, and wait until it has: what ``fdr stop`` does."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdr.errors import ExitCode, UsageError
from fdr.report.make import to_json
from fdr.report.words import verdict
from fdr.run_report import report_of
from fdr.rundir import RunDir
from fdr.stop_request import How, ask_to_stop
from fdr.units import format_duration

LOOK_EVERY_S = 0.5
SAY_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Stopped:
    """What became of a run that was asked to stop.

    ``has_ended`` is None when it was not waited for; ``report`` is as in report.json, None before the end.
    """

    was_alive: bool
    has_ended: bool | None
    report: dict[str, Any] | None = None

    @property
    def exit_code(self) -> ExitCode:
        """4 when the run has not ended in the time that was given, else 0."""
        return ExitCode.INCONCLUSIVE if self.has_ended is False else ExitCode.PASSED


def stop_run(directory: RunDir, how: How, wait_s: float | None, say: Callable[[str], None]) -> Stopped:
    """Ask a run to stop, wait ``wait_s`` at most until it has ended, and return what became of it.

    None does not wait. ``say`` is given a line of progress now and then. Raises UsageError when the run
    cannot be asked, and when it is to cancel what it has begun but is not alive to do so.
    """
    if not directory.is_held:
        if how is How.NOW:
            raise UsageError(
                f"{directory.path}: this run is not alive, so that nothing can be cancelled by it"
                " (what it left expires by itself)"
            )
        say(f"{directory.path}: this run is not alive: there is nothing to stop")
        return Stopped(was_alive=False, has_ended=True, report=_report(directory))
    ask_to_stop(directory.stop_request, how)
    say(f"{directory.path}: asked to stop{' and to cancel' if how is How.NOW else ''}")
    if wait_s is None:
        return Stopped(was_alive=True, has_ended=None)
    begun = told = time.monotonic()
    while directory.is_held:
        now = time.monotonic()
        if now - begun > wait_s:
            say(f"it has not ended within {format_duration(wait_s)}; it still may (`fdr watch` shows it)")
            return Stopped(was_alive=True, has_ended=False)
        if now - told >= SAY_EVERY_S:
            say(f"waiting for what is in flight: {format_duration(round(now - begun))}")
            told = now
        time.sleep(LOOK_EVERY_S)
    return Stopped(was_alive=True, has_ended=True, report=_report(directory))


def told_stop(stopped: Stopped, directory: RunDir) -> list[str]:
    """Return what a person is told of a run that was stopped: its verdict, and where its report is."""
    if stopped.report is None:
        return []
    lines = [verdict(stopped.report)]
    if directory.html.exists():
        lines.append(f"report: {directory.html}")
    return lines


def stop_as_json(stopped: Stopped, directory: RunDir) -> dict[str, Any]:
    """Return the same as a mapping for JSON."""
    report = stopped.report
    return {
        "run": str(directory.path),
        "was_alive": stopped.was_alive,
        "ended": stopped.has_ended,
        "verdict": report["verdict"] if report else None,
        "status": report["run"]["status"] if report else None,
        "report": str(directory.html) if report and directory.html.exists() else None,
    }


def _report(directory: RunDir) -> dict[str, Any]:
    """Return what a run came to: the report that it wrote last of all, or else one made of its journal."""
    log = directory.journal.with_name(directory.journal.name + "-wal")
    recorded = max(_written_ns(directory.journal), _written_ns(log))
    with suppress(OSError, ValueError):
        if _written_ns(directory.json) >= recorded:
            report: dict[str, Any] = json.loads(directory.json.read_text(encoding="utf-8"))
            return report
    return to_json(report_of(directory))


def _written_ns(path: Path) -> int:
    """Return when a file was written, in nanoseconds; 0 if there is none."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
