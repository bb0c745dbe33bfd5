"""The command line: parse, call, exit."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from typing import Annotated

import typer

from fdr import __version__
from fdr.commands import (
    audit,
    check,
    clean,
    new,
    noise,
    plan,
    probe,
    report,
    resume,
    run,
    schema,
    stop,
    validate,
    watch,
)
from fdr.commands.options import EXIT_CODES, out
from fdr.errors import ExitCode, FdrError
from fdr.lake.commands import app as lake_app

app = typer.Typer(
    name="fdr",
    help="Full dress rehearsals for data lakes: load for Rucio, FTS and storages, from a scenario file.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Take the options of fdr itself."""
    if version:
        out.print(f"fdr {__version__}", highlight=False)
        raise typer.Exit


app.command(epilog=EXIT_CODES)(run.run)
app.command(epilog=EXIT_CODES)(resume.resume)
app.command(epilog=EXIT_CODES)(validate.validate)
app.command(epilog=EXIT_CODES)(plan.plan)
app.command(epilog=EXIT_CODES)(check.check)
app.command(epilog=stop.EXIT_CODES)(stop.stop)
app.command(epilog=EXIT_CODES)(watch.watch)
app.command(epilog=EXIT_CODES)(report.report)
app.command(epilog=clean.EXIT_CODES)(clean.clean)
app.command(epilog=audit.EXIT_CODES)(audit.audit)
app.command(epilog=noise.EXIT_CODES)(noise.noise)
app.command(epilog=probe.EXIT_CODES)(probe.probe)
app.command(epilog=EXIT_CODES)(schema.schema)
app.command(epilog=EXIT_CODES)(new.new)
app.add_typer(lake_app, name="lake")


def main() -> None:
    """Run the command line; whatever goes wrong ends in one message and an exit code of the table."""
    code: int | str | None
    try:
        app()
        code = ExitCode.PASSED
    except SystemExit as ended:  # Typer's own endings: 2 after bad usage, 130 after Ctrl-C
        code = ended.code
    except FdrError as error:
        print(f"fdr: {error}", file=sys.stderr)
        code = error.exit_code
    except Exception as error:  # the one place where anything may arrive
        code = _defect(error)
    sys.stdout.flush()
    sys.stderr.flush()
    # A thread that still hangs in gfal2 would abort the process while Python shuts down: exit code 134.
    os._exit(int(code or 0))


def _defect(error: Exception) -> ExitCode:
    """Keep the traceback of what should not have happened in a file, and say where."""
    with tempfile.NamedTemporaryFile("w", prefix="fdr-defect-", suffix=".txt", delete=False) as file:
        file.write("".join(traceback.format_exception(error)))
    print(f"fdr: a defect in fdr: {type(error).__name__}; please report it with {file.name}", file=sys.stderr)
    return ExitCode.DEFECT
