"""Show a run while it goes on."""

from __future__ import annotations

from fdr.commands.options import Run, out
from fdr.run_report import watch as watch_run
from fdr.rundir import find_run_dir


def watch(run: Run = None) -> None:
    """Show a run while it goes on, from another terminal."""
    watch_run(find_run_dir(run), out)
