"""Hold a run against its lake."""

from __future__ import annotations

import typer
from rich.console import Console

from fdr.commands.options import Json, LakeOfRun, Run, out
from fdr.rundir import find_run_dir

EXIT_CODES = """
Exit codes: 0 nothing was found; 1 a defect in fdr; 2 no such run, or it is alive; 3 something is lost, dark,
wrong or unrecorded; 4 nothing was found, but not everything could be looked at; 5 the lake is not usable; 130
interrupted.
"""


def audit(
    run: Run = None,
    lake: LakeOfRun = None,
    as_json: Json = False,
) -> None:
    """Hold a run's journal against Rucio and the storages: what is lost, dark, wrong or unrecorded."""
    from fdr.audit import command, tell  # what reaches a lake takes a second to import

    audited = command.audit_run(find_run_dir(run), lake, Console(stderr=True))
    if as_json:
        print(tell.to_json_text(audited), end="")
    else:
        tell.show(audited, out)
    raise typer.Exit(command.exit_code(audited))
