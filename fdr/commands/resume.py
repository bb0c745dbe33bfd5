"""Go on with a run that was stopped or died."""

from __future__ import annotations

import typer

from fdr.commands.options import LakeOfRun, Run, out
from fdr.rundir import find_run_dir


def resume(run: Run = None, lake: LakeOfRun = None) -> None:
    """Go on with a run that was stopped, or that died: settle what is unknown, do what is left, report all.

    What became late meanwhile is due at once, and its lateness is recorded.
    """
    from fdr.rehearse import resume as resume_run

    raise typer.Exit(resume_run(find_run_dir(run), lake, out))
