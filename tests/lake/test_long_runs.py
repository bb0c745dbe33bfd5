"""What goes wrong in a day costs lateness, or only what it touches."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fdr.catalog import NewDataset, NewReplica
from fdr.clock import SteadyClock
from fdr.connection import read_connection
from fdr.journal.reader import read_journal
from fdr.lake.home import LakeHome
from fdr.lake.status import status
from fdr.lake.storages import storage_root
from fdr.model import Did, Ending, Event, Intention, Note, Outcome, Rule, When
from fdr.outages import Outages
from fdr.patient_catalog import PatientCatalog
from fdr.rucio_catalog import RucioCatalog
from fdr.rundir import RunDir
from fdr.stop import Stop
from tests.lake.recount import count_again, report_of
from tests.lake.second_server import Relay, SecondServer, cfg_for
from tests.lake.smoke import SMOKE
from tests.lake.smoke_run import FDR, environment

pytestmark = pytest.mark.lake

CTA_FILES = 240  # at PIC: 3.7 a second in a minute, so that a PIC that stands still would fill 16 slots
FILES = CTA_FILES + 40 + 32
# Rules that need no transfer: a run is over soon after its last file.
RULES = {"CTA": "[{to: PIC-DCACHE}]", "LSST": "[{to: SARA-DCACHE, when: at-creation}]", "SKA": "[]"}
STEPS = {"create": 16, "put": FILES, "register": FILES, "close": 16, "rule": 14}


@dataclass
class Going:
    """A run that goes on beside the test."""

    process: subprocess.Popen[str]
    directory: RunDir
    output: str = field(default="")

    def events(self) -> list[Event]:
        if not self.directory.journal.exists():
            return []
        with read_journal(self.directory.journal) as reader:
            return list(reader.events())

    def outcomes(self, step: str) -> list[Outcome]:
        return [event for event in self.events() if isinstance(event, Outcome) and event.step == step]

    def endings(self, step: str) -> Counter[tuple[Ending, str]]:
        return Counter((outcome.ending, outcome.reason) for outcome in self.outcomes(step))

    def notes(self, kind: str) -> list[str]:
        return [event.text for event in self.events() if isinstance(event, Note) and event.kind == kind]

    def noted(self, kind: str, after: float) -> bool:
        notes = (event for event in self.events() if isinstance(event, Note) and event.kind == kind)
        return any(note.at >= after for note in notes)

    def wait_for(self, count: int, step: str) -> None:
        """Wait until a step has ended so often."""
        deadline = time.monotonic() + 60
        while len(self.outcomes(step)) < count:
            assert self.process.poll() is None, self.process.communicate()[0]
            assert time.monotonic() < deadline, f"{count} x {step} did not end within a minute"
            time.sleep(0.1)

    def wait_for_note(self, kind: str, after: float) -> None:
        """Wait until something has been noted after a moment (Unix seconds)."""
        deadline = time.monotonic() + 60
        while not self.noted(kind, after):
            assert self.process.poll() is None, self.process.communicate()[0]
            assert time.monotonic() < deadline, f"no {kind} was noted within a minute"
            time.sleep(0.1)

    def finish(self, within_s: float = 150) -> int:
        self.output, _ = self.process.communicate(timeout=within_s)
        return self.process.returncode


def sets() -> list[str]:
    """Return the options that make the smoke scenario the one of these tests."""
    changes = {f"{name}.rules": rules for name, rules in RULES.items()} | {"CTA.inject.files": CTA_FILES}
    return [f"--set=experiments.{path}={value}" for path, value in changes.items()]


@contextmanager
def going(lake: LakeHome, runs: Path, *options: str | Path) -> Iterator[Going]:
    """Begin a smoke run, and end it with the block whatever became of it."""
    directory = RunDir(runs / "run")
    command = [str(FDR), "run", str(SMOKE), "--run-dir", str(directory.path), *sets(), *map(str, options)]
    # with fdr's own time-outs for storages, not the short ones of other tests
    env = {key: value for key, value in environment(lake, runs).items() if not key.startswith("XRD_")}
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield Going(process, directory)
        finally:
            process.kill()


def assert_all_is_done(lake: LakeHome, run: Going) -> None:
    """Nothing failed, is unknown or was left out, by the journal and by an independent count."""
    for step, count in STEPS.items():
        assert run.endings(step) == {(Ending.OK, ""): count}, f"{step}: {run.output}"
    assert count_again(lake, run.directory, report_of(run.directory)) == {"ok": FILES}


@pytest.fixture
def server(lake: LakeHome) -> Iterator[SecondServer]:
    server = SecondServer(lake)
    server.start()
    yield server
    server.kill()


def test_a_restart_of_rucio_costs_lateness_only(lake: LakeHome, server: SecondServer, tmp_path: Path) -> None:
    """The server dies in the middle of calls and is back seconds later: all is done, the report says when."""
    cfg = cfg_for(lake, f"http://127.0.0.1:{server.port}", tmp_path / "rucio.cfg")
    with going(lake, tmp_path, "--lake", cfg) as run:
        run.wait_for(30, "register")
        server.kill()
        run.wait_for(60, "put")  # uploads go on meanwhile
        server.start()
        run.finish()
        assert_all_is_done(lake, run)
        assert len(run.notes("outage")) == 1
        assert "Rucio was out" in " ".join(run.output.split())
        assert "connection" in run.notes("outage")[0]  # broken or refused, whichever call met it first


async def test_a_rucio_that_hangs_is_asked_again(
    lake: LakeHome, server: SecondServer, tmp_path: Path
) -> None:
    """Calls that time out may have had their effect; they are repeated, and a repeat counts as done."""
    cfg = cfg_for(lake, f"http://127.0.0.1:{server.port}", tmp_path / "rucio.cfg")
    notes: list[Note] = []
    clock = SteadyClock()
    plain = RucioCatalog(read_connection(cfg), timeout_s=2)
    catalog = PatientCatalog(plain, Outages(plain.log_in, notes.append, clock, Stop()))
    try:
        await plain.log_in("cta")
        dataset = Did("cta_fdr", f"hang-{time.time_ns()}")
        other = Did("cta_fdr", f"{dataset.name}-other")
        rule = Rule("PIC-DCACHE", 1, 3600, "Functional Test", When.AT_CREATION)
        await catalog.create_dataset("cta", NewDataset(dataset, 3600))
        replica = NewReplica(Did("cta_fdr", f"{dataset.name}/1"), dataset, "PIC-DCACHE", 10, "0a0b0c0d")
        with server.hanging():
            calls = asyncio.gather(
                catalog.register("cta", [replica]),
                catalog.create_dataset("cta", NewDataset(other, 3600)),
                catalog.add_rule("cta", dataset, rule),
            )
            await asyncio.sleep(5)
            assert not calls.done()
        _, _, rule_id = await asyncio.wait_for(calls, 30)
        await catalog.close_dataset("cta", dataset)
        rules = await plain.rules("cta", "cta_fdr", dataset.name)
        assert [state.rule_id for state in rules] == [rule_id]
        assert rules[0].locks_ok + rules[0].locks_replicating <= 1
        assert len(notes) == 1
        assert "timeout" in notes[0].text
    finally:
        await plain.close()


@dataclass
class BadMinute:
    """A run of a minute in which much went wrong, and what the relay before its Rucio saw."""

    run: Going
    relay: Relay
    refused_503: int
    unheard: int
    woken_at: float
    deaf_at: float
    lasted_s: float

    def puts(self, rse: str) -> tuple[list[Outcome], list[Outcome]]:
        """Return the puts at an RSE and those at the others."""
        intended = {event.action: event for event in self.run.events() if isinstance(event, Intention)}
        puts = self.run.outcomes("put")
        return (
            [put for put in puts if intended[put.action].rse == rse],
            [put for put in puts if intended[put.action].rse != rse],
        )

    def lateness_s(self, put: Outcome) -> float:
        due = {event.action: event.due_at for event in self.run.events() if isinstance(event, Intention)}
        return put.begun_at - due[put.action]


@pytest.fixture(scope="module")
def minute(lake: LakeHome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BadMinute]:
    """Tokens last a minute; PIC stands still for 15 s; Rucio answers 503 for 8 s, and is unheard for 8 s."""
    directory = tmp_path_factory.mktemp("minute")
    server = SecondServer(lake, token_lifetime_s=60)
    server.start()
    relay = Relay(server.port)
    try:
        options = ["--lake", cfg_for(lake, relay.url, directory / "rucio.cfg"), "--duration", "65s"]
        begun = time.monotonic()
        with going(lake, directory, *options) as run:
            run.wait_for(20, "put")
            with standing_still(lake, "xrootd-PIC-DCACHE"):
                time.sleep(15)
            woken_at = time.time()
            time.sleep(2)
            refused = relay.spoil("unavailable", for_s=8)
            run.wait_for_note("outage", after=time.time() - 1)  # the next outage is another one
            deaf_at = time.time()
            unheard = relay.spoil("deaf", for_s=8)
            run.finish()
            yield BadMinute(run, relay, refused, unheard, woken_at, deaf_at, time.monotonic() - begun)
    finally:
        relay.close()
        server.kill()


@contextmanager
def standing_still(lake: LakeHome, service: str) -> Iterator[None]:
    """Let a service take connections and do nothing."""
    pid = next(row.pid for row in status(lake) if row.service == service)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_bad_minute_costs_lateness_only(lake: LakeHome, minute: BadMinute) -> None:
    """Every dataset, file, closing and rule is there in the end, once."""
    assert_all_is_done(lake, minute.run)


def test_tokens_of_a_minute_are_renewed_before_they_expire(minute: BadMinute) -> None:
    """No call of the run met a token that Rucio refused, though it lasted longer than two tokens."""
    assert minute.lasted_s > 65
    assert minute.relay.statuses[401] == 0
    most = 2 + minute.lasted_s / 45
    assert all(2 <= minute.relay.logins[account] <= most for account in ("cta", "lsst", "ska"))


def test_a_rucio_that_answers_503_or_is_not_heard_is_left_in_peace(minute: BadMinute) -> None:
    """A handful of requests in eight seconds, not one for each file; both times are noted."""
    assert 0 < minute.refused_503 < 60
    assert 0 < minute.unheard < 60
    notes = minute.run.notes("outage")
    assert any("service-unavailable" in note for note in notes), notes
    assert minute.run.noted("outage", after=minute.deaf_at), notes
    assert any("connection" in note for note in notes), notes
    assert "Rucio was out" in " ".join(minute.run.output.split())


def test_a_storage_that_hangs_delays_only_its_own_files(minute: BadMinute) -> None:
    """While PIC stood still the others' files were as early as ever; PIC's came after it."""
    own, others = minute.puts("PIC-DCACHE")
    assert (len(own), len(others)) == (CTA_FILES, FILES - CTA_FILES)
    assert max(minute.lateness_s(put) for put in others) < 2
    assert max(put.ended_at - put.begun_at for put in others) < 5
    assert max(put.ended_at - put.begun_at for put in own) > 10
    assert sum(put.ended_at > minute.woken_at for put in own) >= 50


FILL = """
disk=$1 kept=$2 storages=$3 fdr=$4
shift 4
mount -t tmpfs -o size=200k tmpfs "$disk"
"$fdr" run --run-dir "$disk/run" "$@"
echo "exit code $?"
cp -r "$disk/run" "$kept"
find "$storages" -name "*.fits" >"$kept/stored"
"$fdr" report "$disk/run"
echo "exit code $?"
"$fdr" report "$disk/run" --format html -o "$disk/report.html"
echo "exit code $?"
mount -o remount,size=20M "$disk"
"$fdr" resume "$disk/run" >/dev/null
cp "$disk/run/report.json" "$kept"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk small enough to be filled")
def test_a_full_disk_under_the_journal_stops_the_run_with_its_record_whole(
    lake: LakeHome, tmp_path: Path
) -> None:
    """One sentence, exit code 4, an intention for every stored file; with room again it goes on."""
    where = small, kept, _ = tmp_path / "small", tmp_path / "kept", storage_root(lake)
    small.mkdir()
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", FILL, "sh", *map(str, where), str(FDR), str(SMOKE), *sets()],
        env=environment(lake, tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    said = " ".join(done.stdout.split())
    assert "the journal cannot be written: database or disk is full" in said
    assert "Traceback" not in said
    assert "defect" not in said
    assert [line for line in done.stdout.splitlines() if line.startswith("exit code")] == [
        "exit code 4",
        "exit code 0",
        "exit code 2",
    ]
    assert "the run did not end" in said
    report = json.loads((kept / "report.json").read_text())
    counts = [experiment["files"] for experiment in report["experiments"].values()]
    assert sum(count["ok"] for count in counts) == FILES
    assert "report.html: cannot be written: No space left on device" in said
    journal = sqlite3.connect(kept / "journal.sqlite")
    try:
        assert journal.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        journal.close()
    with read_journal(kept / "journal.sqlite") as reader:
        run = reader.started.run
        events = list(reader.events())
    intended = {event.action for event in events if isinstance(event, Intention)}
    assert {event.action for event in events if isinstance(event, Outcome)} <= intended
    stored = [path for path in (kept / "stored").read_text().splitlines() if f"/{run}/" in path]
    names = {event.did.name for event in events if isinstance(event, Intention)}
    assert stored
    assert {f"{run}/{path.partition(f'/{run}/')[2]}" for path in stored} <= names
