"""The command line: parse, call, exit."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fdr import __version__, run_report
from fdr import changes as change
from fdr.errors import ExitCode, FdrError, UsageError
from fdr.lake.commands import app as lake_app
from fdr.plan_view import plan_as_json, show_plan
from fdr.report.make import print_summary, to_html, to_json_text
from fdr.rundir import find_run_dir, writing
from fdr.scenario import load
from fdr.units import parse_duration

EXIT_CODES = """
Exit codes: 0 every objective passed; 1 a defect in fdr; 2 a bad scenario or usage; 3 an objective failed;
4 inconclusive; 5 the lake is not usable; 130 interrupted.
"""

STOP_CODES = """
Exit codes: 0 the run goes on no more, was not alive, or is not waited for; 1 a defect in fdr; 2 there is no
such run, or it cannot be asked; 4 it has not ended within --wait; 130 interrupted.
"""

AUDIT_EXIT_CODES = """
Exit codes: 0 nothing was found; 1 a defect in fdr; 2 no such run, or it is alive; 3 something is lost, dark,
wrong or unrecorded; 4 nothing was found, but not everything could be looked at; 5 the lake is not usable; 130
interrupted.
"""

app = typer.Typer(
    name="fdr",
    help="Full dress rehearsals for data lakes: load for Rucio, FTS and storages, from a scenario file.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(lake_app, name="lake")
out = Console()

ScenarioFile = Annotated[Path, typer.Argument(metavar="SCENARIO", help="A scenario file (YAML).")]
Scale = Annotated[float, typer.Option(help="Inject this many times the files: 0.001 is a thousandth.")]
SizeScale = Annotated[float, typer.Option(help="Make files this many times as large.")]
Speed = Annotated[float, typer.Option(help="Run this many times as fast: 24 makes a day an hour.")]
Duration = Annotated[str | None, typer.Option(help="Inject for so long instead, such as 30m.")]
Seed = Annotated[int | None, typer.Option(help="Draw with this seed instead.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a value: experiments.CTA.scope=cta2."),
]
Lake = Annotated[str, typer.Option(help="The lake: local (the embedded one), or the path of a rucio.cfg.")]
LakeOfRun = Annotated[
    str | None,
    typer.Option("--lake", help="Reach its lake another way: local, or the path of a rucio.cfg."),
]
Version = Annotated[bool, typer.Option("--version", help="Print the version and exit.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Run = Annotated[
    str | None, typer.Argument(metavar="[RUN]", help="A run directory or id; the latest if left out.")
]


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Take the options of fdr itself."""
    if version:
        out.print(f"fdr {__version__}", highlight=False)
        raise typer.Exit


@app.command(epilog=EXIT_CODES)
def run(
    scenario_file: ScenarioFile,
    lake: Lake = "local",
    run_dir: Annotated[Path | None, typer.Option(help="Keep the run here instead of runs/ID.")] = None,
    scale: Scale = 1.0,
    size_scale: SizeScale = 1.0,
    speed: Speed = 1.0,
    duration: Duration = None,
    seed: Seed = None,
    sets: Sets = None,
    prepare: Annotated[
        bool, typer.Option(help="Let accounts, scopes and limits be made on a lake that is not ours.")
    ] = False,
) -> None:
    """Rehearse a scenario on a lake: inject, replicate, follow, report, judge."""
    changes = change.Changes(scale, size_scale, speed, duration, seed, tuple(sets or ()))
    from fdr.rehearse import rehearse  # what a run needs takes a second to import

    raise typer.Exit(rehearse(scenario_file, changes, lake, run_dir, prepare, out))


@app.command(epilog=EXIT_CODES)
def resume(run: Run = None, lake: LakeOfRun = None) -> None:
    """Go on with a run that was stopped, or that died: settle what is unknown, do what is left, report all.

    What became late meanwhile is due at once, and its lateness is recorded.
    """
    from fdr.rehearse import resume as resume_run

    raise typer.Exit(resume_run(find_run_dir(run), lake, out))


@app.command(epilog=EXIT_CODES)
def validate(
    scenario_files: Annotated[list[Path], typer.Argument(metavar="SCENARIO...", help="Scenario files.")],
    sets: Sets = None,
) -> None:
    """Say whether scenarios are well written; every problem with file, line and what to write."""
    change.validate(scenario_files, tuple(sets or ()), out.print)


@app.command(epilog=EXIT_CODES)
def plan(
    scenario_file: ScenarioFile,
    scale: Scale = 1.0,
    size_scale: SizeScale = 1.0,
    speed: Speed = 1.0,
    duration: Duration = None,
    seed: Seed = None,
    sets: Sets = None,
    as_json: Json = False,
) -> None:
    """Show what a scenario would do and whether it fits: per experiment and RSE, digest, first actions."""
    changes = change.Changes(scale, size_scale, speed, duration, seed, tuple(sets or ()))
    planned = change.load_changed(scenario_file, changes)
    if as_json:
        print(json.dumps(plan_as_json(planned), indent=2))
    else:
        show_plan(planned, out)


@app.command(epilog=EXIT_CODES)
def check(
    scenario_file: ScenarioFile,
    lake: Lake = "local",
    sets: Sets = None,
) -> None:
    """Say whether a lake is ready for a scenario: accounts, scopes, RSEs, and that storages take files."""
    from fdr.rehearse import check as check_lake

    check_lake(scenario_file, change.Changes(sets=tuple(sets or ())), lake, out.print)


@app.command(epilog=STOP_CODES)
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
    wait_s = None if no_wait else _seconds("--wait", wait)
    stopped = stopping.stop_run(directory, how, wait_s, lambda text: print(text, file=sys.stderr))
    if as_json:
        print(json.dumps(stopping.stop_as_json(stopped, directory), indent=2))
    else:
        print(*stopping.told_stop(stopped, directory), sep="\n", end="\n" if stopped.report else "")
    raise typer.Exit(stopped.exit_code)


@app.command(epilog=EXIT_CODES)
def watch(run: Run = None) -> None:
    """Show a run while it goes on, from another terminal."""
    run_report.watch(find_run_dir(run), out)


@app.command(epilog=EXIT_CODES)
def report(
    run: Run = None,
    form: Annotated[str, typer.Option("--format", help="terminal, html or json.")] = "terminal",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Report on a run again, from its directory alone, also while it goes on or after it was killed."""
    made = run_report.report_of(find_run_dir(run))
    form = "json" if as_json else form
    if form not in FORMATS:
        raise UsageError(f"--format {form}: write one of {', '.join(FORMATS)}")
    if output is None and form == "terminal":
        print_summary(made, out)
        return
    text = FORMATS[form](made)
    if output is None:
        print(text)
    else:
        with writing(output):
            output.write_text(text)


@app.command(
    epilog="Exit codes: 0 nothing of the run is left; 2 no such run, or it is alive; 4 something is left; "
    "5 the lake is not usable."
)
def clean(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run directory or id.")],
    lake: Annotated[
        str | None, typer.Option(help="Another way to the run's lake: local, or the path of a rucio.cfg.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; touch nothing.")] = False,
    wait: Annotated[str, typer.Option(help="Wait so long for Rucio's daemons.")] = "10m",
    as_json: Json = False,
) -> None:
    """Remove a run from its lake: its rules, datasets, replicas and files, and nothing else."""
    from fdr.clean import clean as clean_run

    raise typer.Exit(clean_run(find_run_dir(run), lake, dry_run, wait, as_json, out))


@app.command(epilog=AUDIT_EXIT_CODES)
def audit(
    run: Run = None,
    lake: Annotated[
        str | None, typer.Option(help="Where the run's lake is now: local, or the path of a rucio.cfg.")
    ] = None,
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


@app.command(epilog=EXIT_CODES)
def schema() -> None:
    """Print the JSON Schema of the scenario format, for editors."""
    print(json.dumps(load.schema(), indent=2))


@app.command(epilog=EXIT_CODES)
def new() -> None:
    """Print a commented scenario to start from."""
    print(Path(__file__).with_name("starter.yaml").read_text(), end="")


FORMATS = {"terminal": run_report.summary_text, "html": to_html, "json": to_json_text}


def _seconds(option: str, text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


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
