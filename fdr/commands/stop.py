"""End a run from another terminal."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from fdr.commands.options import Json, Run, seconds
from fdr.rundir import find_run_dir

EXIT_CODES = """
Exit codes: 0 the run goes on no more, was not alive, or is not waited for; 1 a defect in fdr; 2 there is no
such run, or it cannot be asked; 4 it has not ended within --wait; 130 interrupted.
"""


def stop(
    run: Run = None,
    now: Annotated[
        bool, typer.Option("--now", help="Also cancel what was injected and is not yet transferred.")
    ] = False,
    wait: Annotated[str, typer.Option(help="Wait so long at most until it has ended.")] = "5m",
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait until it has ended.")] = False,
    as_json: Json = False,
) -> None:
    """End a run orderly, from another terminal: nothing more is started, and its report is written."""
    from fdr import stopping
    from fdr.stop_request import How

    directory = find_run_dir(run)
    how = How.NOW if now else How.ORDERLY
    wait_s = None if no_wait else seconds("--wait", wait)
    stopped = stopping.stop_run(directory, how, wait_s, lambda text: print(text, file=sys.stderr))
    if as_json:
        print(json.dumps(stopping.stop_as_json(stopped, directory), indent=2))
    else:
        print(*stopping.told_stop(stopped, directory), sep="\n", end="\n" if stopped.report else "")
    raise typer.Exit(stopped.exit_code)
