"""A run is stopped from another process, and whoever asked learns what became of it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import fdr.stop_request
from fdr.errors import ExitCode, UsageError
from fdr.journal.writer import Journal
from fdr.model import Note
from fdr.rundir import RunDir
from fdr.stop import Stop
from fdr.stop_request import How, ask_to_stop, obey, requested_stop
from fdr.stopping import stop_as_json, stop_run, told_stop
from tests.made_up_run import STARTED

SMOKE = Path(__file__).parents[1] / "scenarios" / "smoke.yaml"


@pytest.fixture
def directory(tmp_path: Path) -> RunDir:
    """The directory of a run whose journal says that it was interrupted."""
    directory = RunDir(tmp_path)
    directory.scenario.write_text(SMOKE.read_text())

    async def write() -> None:
        journal = Journal.create(directory.journal, STARTED)
        journal.record(Note(STARTED.started_at + 1, "interrupted", "fdr stop, by ann@host"))
        journal.record(Note(STARTED.started_at + 2, "ended"))
        await journal.close()

    asyncio.run(write())
    return directory


@contextmanager
def a_run_that_is_alive(directory: RunDir, obeys: bool = True) -> Iterator[subprocess.Popen[str]]:
    """Hold the run in another process, which ends when it is asked to, or only when it is killed."""
    program = (
        "import sys, time; from pathlib import Path; from fdr.rundir import RunDir\n"
        f"run = RunDir(Path({str(directory.path)!r}))\n"
        "with run.held():\n"
        "    print('held', flush=True)\n"
        f"    while not {obeys} or not run.stop_request.exists(): time.sleep(0.02)\n"
        "    print(run.stop_request.read_text(), end='')\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_request_says_how_when_and_by_whom(tmp_path: Path) -> None:
    """It replaces an earlier one, and nothing else is left beside it."""
    path = tmp_path / "stop.request"
    assert requested_stop(path) is None
    ask_to_stop(path, How.ORDERLY)
    asked = ask_to_stop(path, How.NOW)
    assert requested_stop(path) == asked
    assert asked.how is How.NOW
    assert "@" in asked.by
    assert [file.name for file in tmp_path.iterdir()] == ["stop.request"]


@pytest.mark.parametrize(
    "text", ["", "please", '{"how": "now"}', '{"how": "later", "at": "", "by": ""}', "[]"]
)
def test_whatever_stands_there_asks_for_an_orderly_stop(tmp_path: Path, text: str) -> None:
    """So that `touch stop.request` will do, and nothing is cancelled that nobody asked for."""
    path = tmp_path / "stop.request"
    path.write_text(text)
    request = requested_stop(path)
    assert request is not None
    assert request.how is How.ORDERLY


async def test_a_request_is_obeyed_and_a_later_one_may_ask_for_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first reason stands, and what is to be cancelled is cancelled."""
    monkeypatch.setattr(fdr.stop_request, "LOOK_EVERY_S", 0.01)
    path, stop = tmp_path / "stop.request", Stop()
    obeying = asyncio.create_task(obey(path, stop))
    asked = ask_to_stop(path, How.ORDERLY)
    await asyncio.wait_for(stop.wait(), 5)
    assert (stop.kind, stop.text, stop.cancels) == ("interrupted", f"fdr stop, by {asked.by}", False)
    ask_to_stop(path, How.NOW)
    async with asyncio.timeout(5):
        while not stop.cancels:
            await asyncio.sleep(0.01)
    assert stop.text == f"fdr stop, by {asked.by}"
    obeying.cancel()


def test_a_request_is_forgotten_at_the_start_and_at_the_end(tmp_path: Path) -> None:
    """One that came too late for a run does not stop the next that goes on with it."""
    run = RunDir(tmp_path)
    ask_to_stop(run.stop_request, How.NOW)
    with run.held():
        assert not run.stop_request.exists()
        ask_to_stop(run.stop_request, How.NOW)
    assert not run.stop_request.exists()


def test_asking_whether_a_run_is_held_does_not_hold_it(tmp_path: Path) -> None:
    """Neither the one who asks nor a run that begins meanwhile is disturbed."""
    run = RunDir(tmp_path)
    assert not run.is_held
    with run.held():
        assert run.is_held
        assert run.is_held
    assert not run.is_held


def test_a_run_that_is_alive_is_asked_and_waited_for(directory: RunDir) -> None:
    """Its verdict and how it ended are told, and the request is gone."""
    said: list[str] = []
    with a_run_that_is_alive(directory) as process:
        stopped = stop_run(directory, How.NOW, 30, said.append)
        assert process.stdout is not None
        asked = json.loads(process.stdout.read())
    assert asked["how"] == "now"
    assert (stopped.was_alive, stopped.has_ended, stopped.exit_code) == (True, True, ExitCode.PASSED)
    (line,) = told_stop(stopped, directory)
    assert line.startswith("Verdict: INCONCLUSIVE")
    assert "fdr stop, by ann@host" in line
    assert "asked to stop and to cancel" in said[0]
    assert not directory.stop_request.exists()


def test_a_run_that_does_not_end_in_time_is_said(directory: RunDir) -> None:
    """Exit code 4, and the request stays for the run to obey."""
    said: list[str] = []
    with a_run_that_is_alive(directory, obeys=False):
        stopped = stop_run(directory, How.ORDERLY, 0.1, said.append)
        assert directory.stop_request.exists()
    assert (stopped.has_ended, stopped.exit_code) == (False, ExitCode.INCONCLUSIVE)
    assert "has not ended within 100ms" in said[-1]


def test_who_does_not_wait_is_back_at_once(directory: RunDir) -> None:
    """With the request made."""
    with a_run_that_is_alive(directory, obeys=False):
        begun = time.monotonic()
        stopped = stop_run(directory, How.ORDERLY, None, lambda text: None)
        assert time.monotonic() - begun < 5
        assert directory.stop_request.exists()
    assert (stopped.exit_code, stop_as_json(stopped, directory)["ended"]) == (ExitCode.PASSED, None)


def test_a_run_that_is_not_alive_needs_no_stop(directory: RunDir) -> None:
    """That is said, no request is left, and what the run came to is told."""
    said: list[str] = []
    stopped = stop_run(directory, How.ORDERLY, 30, said.append)
    assert "not alive" in said[0]
    assert not directory.stop_request.exists()
    assert (stopped.was_alive, stopped.exit_code) == (False, ExitCode.PASSED)
    assert stop_as_json(stopped, directory)["verdict"] == "inconclusive"


@pytest.mark.parametrize(("younger_by_s", "said"), [(1, "pass"), (-1, "inconclusive")])
def test_a_report_older_than_the_journal_is_not_told(directory: RunDir, younger_by_s: int, said: str) -> None:
    """A run that was resumed and then killed has one from before."""
    directory.json.write_text('{"verdict": "pass", "run": {"status": "the run came to its end"}}')
    at = directory.journal.stat().st_mtime + younger_by_s
    os.utime(directory.json, (at, at))
    stopped = stop_run(directory, How.ORDERLY, 30, lambda text: None)
    assert stop_as_json(stopped, directory)["verdict"] == said


def test_a_run_that_is_not_alive_cannot_cancel(directory: RunDir) -> None:
    """To be told that all is well would be wrong: nothing was cancelled."""
    with pytest.raises(UsageError, match="nothing can be cancelled"):
        stop_run(directory, How.NOW, 30, lambda text: None)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["{run}"], 0, "Verdict: INCONCLUSIVE"),
        (["{run}", "--json"], 0, '"was_alive": false'),
        (["{run}", "--now"], 2, "nothing can be cancelled"),
        (["{run}", "--wait", "soon"], 2, "--wait: 'soon'"),
        (["nowhere"], 2, "there is no such run"),
    ],
)
def test_the_command_says_so(directory: RunDir, arguments: list[str], code: int, said: str) -> None:
    """Exit codes as --help tells them."""
    done = subprocess.run(
        [sys.executable, "-m", "fdr", "stop", *(part.format(run=directory.path) for part in arguments)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout + done.stderr
