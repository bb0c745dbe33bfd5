"""``fdr run --resume-if-exists`` may be given again and again: it begins, goes on, or reports."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from io import StringIO
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import fdr.audit.command
import fdr.rehearse
import fdr.run_report
import fdr.stop_request
import fdr.watch
from fdr.changes import Changes
from fdr.connection import Connection, Identity
from fdr.earlier import read_earlier
from fdr.errors import ExitCode, UsageError
from fdr.journal.reader import read_journal
from fdr.journal.writer import Journal
from fdr.model import CLEANING, Audited, Event, Note, Resumed
from fdr.payload import Payload
from fdr.reach import Doors
from fdr.rehearse import rehearse_or_resume
from fdr.rundir import RunDir
from fdr.scenario.lines import write_document
from fdr.scenario.load import load_scenario
from fdr.stop_request import How, ask_to_stop
from tests.fakes.catalog import FakeCatalog
from tests.fakes.inventory import FakeInventory
from tests.fakes.removal import FakeRemoval
from tests.fakes.rule_removal import FakeRuleRemoval
from tests.fakes.storage import FakeStorage
from tests.small_scenario import small

FILES = 32


class Killed(BaseException):
    """Nobody catches it, so that the process is gone as after SIGKILL."""


class Spoiled(FakeStorage):
    """A storage at which something happens to the process at the put of one file."""

    def __init__(self) -> None:
        super().__init__()
        self.puts = 0
        self.at = -1
        self.happens: Callable[[], None] = lambda: None

    async def put(self, payload: Payload, url: str, *, overwrite: bool = False) -> None:
        self.puts += 1
        if self.puts == self.at:
            self.happens()
        await super().put(payload, url, overwrite=overwrite)


class Lake:
    """A lake in memory, a run's directory, and the command that is given again and again."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "small.yaml"
        self.write()
        scenario = load_scenario(self.file)
        owners = {experiment.scope: experiment.account for experiment in scenario.experiments.values()}
        self.catalog = FakeCatalog(scenario.rses, owners)
        self.storage = Spoiled()
        self.directory = RunDir(folder / "volume" / "run")
        self.name = "https://rucio"
        self.connected = 0

    def write(self, **changed: object) -> None:
        """Write the scenario, with changes; it is over in two seconds."""
        self.file.write_text(write_document(small(**{"duration": "1s", "grace": "1s"} | changed)))

    def connect(self, lake: str) -> Connection:
        self.connected += 1
        return Connection(
            self.name, Path(lake), self.name, self.name, True, "root", Identity("userpass", {}), {},
            None, None, None, None,
        )  # fmt: skip

    @asynccontextmanager
    async def reach(self, *_: object) -> AsyncIterator[Doors]:
        removal, rules = FakeRemoval(self.catalog), FakeRuleRemoval(self.catalog)
        yield Doors(self.catalog, FakeInventory(self.catalog), removal, rules, self.storage)

    def run(self, *sets: str) -> ExitCode:
        """Give the command."""
        self.output = StringIO()
        console = Console(file=self.output, width=200)
        return rehearse_or_resume(
            self.file, Changes(sets=sets), "rucio.cfg", self.directory.path, False, console
        )

    def disturb(self, happens: Callable[[], None], at: int = 10) -> None:
        """Let something happen at a put from now; nothing more after it."""
        self.storage.at, self.storage.happens = self.storage.puts + at, happens

    def die(self, *sets: str, at: int = 10) -> None:
        """Run until the process is killed; nothing is done by it, nor written, after that."""

        def kill(*_: object) -> None:
            self.catalog.weather = kill
            raise Killed

        self.disturb(kill, at)
        with pytest.raises(BaseExceptionGroup) as killed:
            self.run(*sets)
        assert killed.value.subgroup(Killed)
        del killed
        gc.collect()  # a dead process tells of no task whose end nobody saw
        self.catalog.weather = lambda *_: None
        with closing(sqlite3.connect(self.directory.journal)) as journal, journal:
            journal.execute("DELETE FROM note")

    def events(self) -> list[Event]:
        with read_journal(self.directory.journal) as reader:
            return list(reader.events())

    def report(self) -> dict[str, Any]:
        return json.loads(self.directory.json.read_text())

    def note(self, *events: Event) -> None:
        """Write events at the end of the journal."""

        async def write() -> None:
            journal = Journal.reopen(self.directory.journal)
            journal.record(*events)
            await journal.close()

        asyncio.run(write())


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    found = Lake(tmp_path)
    monkeypatch.setattr(fdr.rehearse, "connect", found.connect)
    monkeypatch.setattr(fdr.rehearse, "reach", found.reach)
    monkeypatch.setattr(fdr.audit.command, "reach", found.reach)
    monkeypatch.setattr(
        fdr.run_report, "to_html", lambda _: "drawing takes a second, and is tested elsewhere"
    )
    monkeypatch.setattr(logging.getLogger("asyncio"), "disabled", True)
    monkeypatch.setattr(fdr.watch, "INTERVAL_S", 0.2)
    monkeypatch.setattr(fdr.stop_request, "LOOK_EVERY_S", 0.05)
    yield found
    for handler in logging.getLogger().handlers:
        if isinstance(handler, RotatingFileHandler):
            logging.getLogger().removeHandler(handler)
            handler.close()


def sessions(lake: Lake) -> int:
    return 1 + sum(isinstance(event, Resumed) for event in lake.events())


def test_an_empty_directory_begins_a_run_and_one_that_ended_is_reported(lake: Lake) -> None:
    """The second time costs the lake nothing, and ends with the same exit code."""
    assert lake.run() is ExitCode.PASSED
    puts, requests, connected = lake.storage.puts, lake.catalog.requests, lake.connected
    assert puts == FILES
    lake.directory.html.unlink()
    assert lake.run() is ExitCode.PASSED
    assert (lake.storage.puts, lake.catalog.requests, lake.connected) == (puts, requests, connected)
    assert lake.directory.html.exists()
    assert sessions(lake) == 1
    assert "has ended: it is reported again" in lake.output.getvalue()
    assert "Verdict: PASS" in lake.output.getvalue()


def test_a_run_that_was_killed_goes_on(lake: Lake) -> None:
    """Killed and begun again with the same command as often as may be, it does every file once."""
    lake.die(at=10)
    lake.die(at=5)
    assert lake.run() is ExitCode.PASSED
    assert sessions(lake) == 3
    assert "was cut short: it goes on" in lake.output.getvalue()
    assert len(lake.storage.files) == len(lake.catalog.known_files()) == FILES
    assert lake.storage.puts <= FILES + 2 * 16
    assert lake.report()["run"]["status"].startswith("it was resumed 2 times, after 2 crashes")


def test_a_run_that_was_killed_before_it_had_a_journal_begins(lake: Lake) -> None:
    """What lies there then is the scenario, the lock, and half a journal; also that of an older scenario."""
    lake.directory.path.mkdir(parents=True)
    lake.directory.scenario.write_text("half a scena")
    lake.directory.journal.with_name("journal.sqlite.new").write_bytes(b"SQLite for")
    (lake.directory.path / "lost+found").mkdir()
    assert lake.run() is ExitCode.PASSED
    assert sessions(lake) == 1
    assert load_scenario(lake.directory.scenario) == load_scenario(lake.file)


def test_a_run_that_a_signal_ended_goes_on(lake: Lake) -> None:
    """As a pod that is moved to another machine: SIGTERM, an orderly end, exit code 130."""
    lake.disturb(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert lake.run() is ExitCode.INTERRUPTED
    assert lake.run() is ExitCode.PASSED
    assert sessions(lake) == 2
    assert len(lake.storage.files) == FILES


def test_a_run_that_somebody_stopped_does_not_go_on(lake: Lake) -> None:
    """``fdr stop`` holds, whoever gives the command again; ``fdr resume`` would go on."""
    lake.disturb(lambda: ask_to_stop(lake.directory.stop_request, How.ORDERLY) and None, at=3)
    assert lake.run("duration=30s") is ExitCode.INTERRUPTED
    puts = lake.storage.puts
    assert puts < FILES
    assert lake.run("duration=30s") is ExitCode.OBJECTIVE_FAILED
    assert (lake.storage.puts, sessions(lake)) == (puts, 1)
    assert "fdr stop, by " in lake.report()["run"]["status"]


def test_a_run_that_reached_a_limit_does_not_go_on(lake: Lake) -> None:
    """The impact budget protects the lake from whoever begins it again, too."""
    budget = "limits.files=12"
    assert lake.run(budget) is ExitCode.OBJECTIVE_FAILED
    assert lake.run(budget) is ExitCode.OBJECTIVE_FAILED
    assert (lake.storage.puts, sessions(lake)) == (12, 1)


@pytest.mark.parametrize(
    ("kinds", "goes_on"),
    [
        ([], True),
        ([("grace-over", "1 rules STUCK")], True),
        ([("interrupted", "SIGTERM")], True),
        ([("interrupted", "SIGINT"), ("ended", "")], True),
        ([("interrupted", "a defect in fdr")], True),
        ([("interrupted", "fdr stop, by ann@host")], False),
        ([("interrupted", "fdr stop --now, by ann@host"), ("ended", "")], False),
        ([("limit", "limits.files: 12")], False),
        ([("limit", "limits.files: 12"), ("ended", "")], False),
        ([("grace-over", "1 rules STUCK"), ("ended", "")], False),
        ([("ended", "")], False),
    ],
)
def test_what_was_cut_short(lake: Lake, kinds: list[tuple[str, str]], goes_on: bool) -> None:
    """A run goes on that nobody wanted to end, however far it had come."""
    lake.die(at=1)
    lake.note(*(Note(1e10, kind, text) for kind, text in kinds))
    with read_journal(lake.directory.journal) as reader:
        assert read_earlier(reader).was_cut_short is goes_on


def test_a_run_that_is_alive_elsewhere_is_refused(lake: Lake) -> None:
    """Nothing of it is read or written, whether its journal is there already or not."""
    lake.directory.path.mkdir(parents=True)
    with (lake.directory.path / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="alive in another process"):
            lake.run()
    assert sorted(path.name for path in lake.directory.path.iterdir()) == ["lock"]
    assert lake.connected == 0


@pytest.mark.parametrize("is_over", [False, True])
def test_another_scenario_is_refused(lake: Lake, is_over: bool) -> None:
    """Neither is the old run taken for the new scenario's, nor is it gone on with; it says what to do."""
    lake.run() if is_over else lake.die()
    puts = lake.storage.puts
    for changed in ({"experiments__CTA__inject__files": 26}, {"objectives": ["lost == 0"]}):
        (what,) = {key.partition("__")[0] for key in changed}
        lake.write(**changed)
        with pytest.raises(UsageError, match=f"begun with another scenario: not the same {what} ") as refused:
            lake.run()
        assert f"fdr resume {lake.directory.path}" in str(refused.value)
    lake.write()
    with pytest.raises(UsageError, match="not the same duration_s"):
        lake.run("duration=2s")
    assert lake.storage.puts == puts
    assert lake.run() is ExitCode.PASSED


def test_a_comment_is_not_another_scenario(lake: Lake) -> None:
    """What the scenario says counts, not how it is written; --set and --scale are kept."""
    sets = "seed=8", "objectives=['upload.count >= 32']"
    lake.die(*sets)
    lake.file.write_text(f"# said more clearly\n{lake.file.read_text()}")
    assert lake.run(*sets) is ExitCode.PASSED
    assert sessions(lake) == 2


def test_another_lake_is_refused(lake: Lake) -> None:
    """What the run has made is not there."""
    lake.die()
    lake.name = "https://elsewhere"
    with pytest.raises(UsageError, match="begun on https://rucio, not on https://elsewhere"):
        lake.run()
    assert sessions(lake) == 1


def test_a_run_that_was_removed_from_its_lake_does_not_go_on(lake: Lake) -> None:
    """Its files are gone; it is to be begun anew."""
    lake.die()
    lake.note(Note(1e10, CLEANING))
    with pytest.raises(UsageError, match="fdr clean has removed this run"):
        lake.run()


def test_a_run_that_died_before_its_audit_is_audited(lake: Lake) -> None:
    """The command that is given again ends as the first would have, not with an undecided objective."""
    sets = "objectives=['unrecorded == 0']"
    assert lake.run(sets) is ExitCode.PASSED
    with closing(sqlite3.connect(lake.directory.journal)) as journal, journal:
        journal.execute("DELETE FROM audit")
    for _ in range(2):
        assert lake.run(sets) is ExitCode.PASSED
        assert len([event for event in lake.events() if isinstance(event, Audited)]) == 1


def test_a_run_whose_audit_is_interrupted_is_reported(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the audit would have decided is open; the command that is given again audits it."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    sets = "objectives=['unrecorded == 0']"
    with monkeypatch.context() as patch:
        patch.setattr(fdr.rehearse, "audit_held", interrupted)
        assert lake.run(sets) is ExitCode.INTERRUPTED
    assert "not audited: interrupted" in lake.output.getvalue()
    assert json.loads(lake.directory.json.read_text())["verdict"] == "inconclusive"
    assert lake.directory.html.exists()
    assert lake.run(sets) is ExitCode.PASSED


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--resume-if-exists"], "--resume-if-exists: name the directory of the run too: --run-dir DIR"),
        (["--resume-if-exists", "--run-dir", "/proc/none"], "/proc/none: the run directory cannot be made"),
    ],
)
def test_the_command_says_what_it_needs(lake: Lake, options: list[str], said: str) -> None:
    """One sentence and exit code 2."""
    command = [sys.executable, "-m", "fdr", "run", str(lake.file), *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"fdr: {said}")
    assert ended.stderr.count("\n") == 1
