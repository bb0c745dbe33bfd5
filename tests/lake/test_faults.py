"""Whatever breaks during a run, it ends as it should and loses nothing: the rows of docs/faults.md."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fdr.journal.reader import read_journal
from fdr.lake.home import LakeHome
from fdr.lake.storages import storage_root
from fdr.lake.xrootd import storage_directory
from fdr.model import TransferSeen
from fdr.rundir import RunDir
from tests.lake.begun_run import BegunRun, begun_run
from tests.lake.disturb import kill, kill_server_worker, refusing, stopped
from tests.lake.foreign import foreign_cfg
from tests.lake.recount import count_again, rows, run_id
from tests.lake.second_server import SecondServer, cfg_for
from tests.lake.smoke_run import FinishedRun, fdr

pytestmark = pytest.mark.lake
FAULTS = Path(__file__).with_name("faults.yaml")
FILES, RULES = 40, 4
ALL_OK = Counter(ok=FILES)
STEP_S = 3600
OUT_S = 60
SIGNALS = ("SIGKILL", "SIGINT", "SIGTERM")
UNDER_WAY = 8  # puts that may run at one moment, of six a second
FAKETIME = next(Path("/usr").glob("lib*/**/faketime/libfaketimeMT.so.1"), None)


def failures(report: dict[str, Any]) -> dict[tuple[str, str, str], int]:
    """Return what the report says went wrong: operation, ending, reason, and how often."""
    return {
        (failure["operation"], failure["ending"], failure["reason"]): failure["count"]
        for failure in report["failures"]
    }


def restarts(report: dict[str, Any]) -> dict[str, int]:
    """Return the services that died, and how often they were restarted."""
    return {use["service"]: use["restarts"] for use in report["services"] if use["restarts"]}


def rules_ok(report: dict[str, Any]) -> int:
    return sum(experiment["rules"]["ok"] for experiment in report["experiments"].values())


def is_clean(run: FinishedRun) -> bool:
    """Tell whether nobody was shown a traceback."""
    return "Traceback" not in run.output + run.directory.log.read_text()


# --- storages -------------------------------------------------------------------------------------


def test_a_storage_that_is_down_before_the_run_is_named_and_nothing_is_injected(
    lake: LakeHome, tmp_path: Path
) -> None:
    """Exit code 5, within the storage's time-out. (A storage of the embedded lake fdr run would start.)"""
    cfg = foreign_cfg(lake, tmp_path / "rucio.cfg")
    with stopped(lake, "xrootd-PIC-DCACHE"):
        done = fdr(lake, tmp_path, "run", FAULTS, "--lake", cfg, "--run-dir", tmp_path / "run")
    assert done.returncode == 5, done.stdout
    assert "RSE PIC-DCACHE: cannot be written" in " ".join(done.stdout.split())
    assert "Traceback" not in done.stdout
    assert not RunDir(tmp_path / "run").journal.exists()


def test_a_storage_that_goes_down_costs_only_its_own_files(lake: LakeHome, tmp_path: Path) -> None:
    """Down for three seconds, it costs the files that were due at it then; later ones are there."""
    with begun_run(lake, tmp_path, scenario=FAULTS) as going:
        going.wait_until(lambda: going.puts() >= 10)
        with stopped(lake, "xrootd-PIC-DCACHE"):
            time.sleep(3)
        run = going.finish()
    assert run.code == 3, run.output
    counted = count_again(lake, run.directory, run.report)
    experiments = {name: told["files"] for name, told in run.report["experiments"].items()}
    assert (experiments["LSST"]["ok"], experiments["CTA"]["ok"]) == (20, counted["ok"] - 20)
    assert 8 <= experiments["CTA"]["ok"] < 20
    puts = {key: count for key, count in failures(run.report).items() if key[0] != "transfer"}
    assert {operation for operation, _, _ in puts} == {"put"}
    assert {reason for _, _, reason in puts} <= {"connection-refused", "communication"}
    assert sum(puts.values()) == counted["failed"] + counted["unknown"] == FILES - counted["ok"]
    assert counted["failed"] > counted["unknown"]  # only those that were under way cannot be told
    assert rules_ok(run.report) == RULES
    assert is_clean(run)


# --- what stands round the run --------------------------------------------------------------------


@dataclass(frozen=True)
class RoughRuns:
    """Runs that went on at the same time, each with a fault of its own, and what the FTS missed."""

    served: FinishedRun  # its FTS stopped, a daemon and a worker of the Rucio server killed
    stepped: FinishedRun  # its wall clock set forward, then back
    paused: FinishedRun
    refused: FinishedRun  # one of its storages refused all files of one scope
    unsubmitted: frozenset[str]  # files of served that Rucio could not submit to the FTS
    back_at: float  # when the FTS was started again, in Unix seconds


@pytest.fixture(scope="module")
def rough(lake: LakeHome, tmp_path_factory: pytest.TempPathFactory) -> RoughRuns:
    """Four runs at once: what stops and dies in the lake meets them all, the rest its own run alone."""
    runs = tmp_path_factory.mktemp("rough")
    unprepared = "--lake", str(foreign_cfg(lake, runs / "rucio.cfg"))  # only one run at a time may prepare
    offset = runs / "offset"
    offset.write_text("+0\n")
    scope = f"lsst_{secrets.token_hex(4)}"  # with no directory that is there already
    refusal = "--set", f"experiments.LSST.scope={scope}", "--size-scale", "0.5"
    with (
        refusing(storage_directory("SARA-DCACHE", storage_root(lake)) / scope),
        begun_run(lake, runs, *refusal, name="refused", scenario=FAULTS) as refused,
        prepared(refused),
        begun_run(lake, runs, name="served", scenario=FAULTS) as served,
        begun_run(lake, runs, *unprepared, name="stepped", scenario=FAULTS, **false_clock(offset)) as stepped,
        begun_run(lake, runs, *unprepared, name="paused", scenario=FAULTS) as paused,
    ):
        paused.wait_until(lambda: paused.puts() >= 5)
        paused.process.send_signal(signal.SIGSTOP)
        stepped.wait_until(lambda: stepped.puts() >= 5)
        offset.write_text(f"+{STEP_S}\n")
        with stopped(lake, "fts"):
            served.wait_until(lambda: bool(unsubmitted(lake, served)))
            time.sleep(1)  # a round of the submitter, which finds no FTS
            kill(lake, "conveyor-submitter")  # when it has transfers in its hands
            kill_server_worker(lake)
            time.sleep(2)
            offset.write_text(f"-{STEP_S}\n")
            paused.process.send_signal(signal.SIGCONT)
            missed, back_at = unsubmitted(lake, served), time.time()
        ended = served.finish(), stepped.finish(), paused.finish(), refused.finish()
        return RoughRuns(*ended, missed, back_at)


@contextmanager
def prepared(run: BegunRun) -> Iterator[None]:
    """Go on when a run has prepared the lake: two cannot at once."""
    run.wait_until(run.directory.journal.exists)
    yield


def unsubmitted(lake: LakeHome, run: BegunRun) -> frozenset[str]:
    """Return the names of the run's files that Rucio has to transfer and no FTS has a job for."""
    of_run = f"name LIKE '{run_id(run.directory)}/%'"
    return frozenset(
        name for (name,) in rows(lake, f"SELECT name FROM requests WHERE external_id IS NULL AND {of_run}")
    )


def false_clock(offset: Path) -> dict[str, str]:
    """Return what makes a process see the wall clock with the offset, in seconds, that a file holds."""
    if FAKETIME is None:
        return {}
    return {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


def test_an_fts_that_is_away_costs_time_only(lake: LakeHome, rough: RoughRuns) -> None:
    """Rucio submits again what it could not submit; every rule ends OK."""
    for run in (rough.served, rough.paused):
        assert run.code == 0, run.output
        assert count_again(lake, run.directory, run.report) == ALL_OK
        assert rules_ok(run.report) == RULES
        assert run.report["transfers"]["done"] == FILES
    with read_journal(rough.served.directory.journal) as reader:
        seen = [event for event in reader.events() if isinstance(event, TransferSeen)]
    submitted = {event.did.name: event.submitted_at or 0.0 for event in seen}
    assert rough.unsubmitted
    assert all(submitted[name] > rough.back_at for name in rough.unsubmitted)


def test_a_daemon_that_is_killed_is_restarted_and_counted(rough: RoughRuns) -> None:
    """The submitter is restarted once, a worker of the server by the server itself; no file is lost."""
    report = rough.served.report
    assert restarts(report) == {"conveyor-submitter": 1}
    assert failures(report) == {}
    assert is_clean(rough.served)


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is missing: install faketime")
def test_a_step_of_the_clock_disturbs_no_schedule(lake: LakeHome, rough: RoughRuns, tmp_path: Path) -> None:
    """An hour ahead and two hours back: the schedule and all times told go on as if nothing had been.

    XRootD's client takes the jump ahead for an hour without an answer: puts under way then are unknown.
    """
    offset = tmp_path / "offset"
    offset.write_text(f"-{STEP_S}\n")
    clock = [sys.executable, "-c", "import time; print(time.time())"]
    seen = subprocess.run(clock, env=os.environ | false_clock(offset), capture_output=True, check=True)
    assert time.time() - float(seen.stdout) == pytest.approx(STEP_S, abs=60)
    report = rough.stepped.report
    counted = count_again(lake, rough.stepped.directory, report)
    assert counted["ok"] + counted["unknown"] == FILES
    assert counted["unknown"] <= UNDER_WAY
    assert failures(report).keys() <= {("put", "unknown", "timeout")}
    assert rules_ok(report) == RULES
    assert report["generator"]["lateness_max"] < 60
    longest = [phase["max"] for phase in report["phases"] if phase["max"] is not None]
    assert max(longest) < 120
    [last] = [line for line in rough.stepped.output.splitlines() if " ended: files" in line]
    assert not last.startswith(("0", "1h", "59m"))  # how long the run has lasted, on the display
    times = [report["run"]["started_at"], report["run"]["ended_at"]]
    assert times == sorted(times)
    assert is_clean(rough.stepped)


def test_a_run_that_was_paused_is_late_and_says_so(rough: RoughRuns) -> None:
    """Stopped for three seconds, it does what is overdue at once and records how late that was."""
    assert 2 < rough.paused.report["generator"]["lateness_max"] < 120
    assert failures(rough.paused.report) == {}


def test_a_storage_that_refuses_files_costs_only_those(lake: LakeHome, rough: RoughRuns) -> None:
    """LSST's files are failed with a countable reason; the other experiment's are all there."""
    run = rough.refused
    assert run.code == 3, run.output
    assert count_again(lake, run.directory, run.report) == Counter(ok=20, failed=20)
    files = {name: told["files"] for name, told in run.report["experiments"].items()}
    assert (files["LSST"]["failed"], files["CTA"]["ok"]) == (20, 20)
    assert failures(run.report) == {("put", "failed", "permission"): 20}
    assert run.report["experiments"]["LSST"]["bytes"] == {"planned": 20 * 10_000, "ok": 0}
    assert is_clean(run)


# --- the database ---------------------------------------------------------------------------------


def test_a_database_that_is_away_costs_lateness_only(lake: LakeHome, tmp_path: Path) -> None:
    """Fifteen seconds without PostgreSQL: calls to Rucio wait, and daemons, of which none is given up."""
    with begun_run(lake, tmp_path, scenario=FAULTS) as going:
        going.wait_until(lambda: going.puts() >= 10)
        with stopped(lake, "postgres"):
            time.sleep(15)
        run = going.finish()
    assert run.code == 0, run.output
    assert count_again(lake, run.directory, run.report) == ALL_OK
    assert "Rucio was out" in run.report["run"]["status"]
    assert "database" in run.report["run"]["status"]
    assert failures(run.report) == {}
    assert set(restarts(run.report).values()) == {1}
    assert is_clean(run)


# --- the run itself, its Rucio and its ears -------------------------------------------------------


@dataclass(frozen=True)
class CutRuns:
    """Runs that went on at the same time, by the signal that ended each.

    Two got none: the one called ``deaf`` came to its end without its broker, and the one called ``alone`` was
    without its Rucio server for a minute.
    """

    ended: dict[str, FinishedRun]
    report_of_killed: dict[str, Any]


@pytest.fixture(scope="module")
def cut(lake: LakeHome, tmp_path_factory: pytest.TempPathFactory) -> CutRuns:
    """Five runs at once; the broker, and the Rucio server of one, stop when all have begun."""
    runs = tmp_path_factory.mktemp("cut")
    cfg = foreign_cfg(lake, runs / "rucio.cfg")
    server = SecondServer(lake)
    with ExitStack() as leaving:
        leaving.callback(server.kill)
        server.start()

        def begin(name: str, cfg: Path, *options: str) -> BegunRun:
            run = begun_run(lake, runs, "--lake", str(cfg), *options, name=name, scenario=FAULTS)
            return leaving.enter_context(run)

        begun = {name: begin(name, cfg) for name in SIGNALS}
        begun["alone"] = begin("alone", cfg_for(lake, f"http://127.0.0.1:{server.port}", runs / "alone.cfg"))
        begun["deaf"] = begin("deaf", cfg, "--speed", "2")  # it waits half a minute for events at its end
        begun["alone"].wait_until(lambda: begun["alone"].ended("register") >= 4)
        server.kill()  # at once: on a busy machine the others begin much later
        back_at = time.monotonic() + OUT_S
        for run in begun.values():
            run.wait_until(lambda run=run: run.puts() >= 1)
        with stopped(lake, "broker"):
            for name in SIGNALS:
                begun[name].wait_until(lambda name=name: begun[name].ended("register") >= 15)
                begun[name].process.send_signal(getattr(signal, name))
            ended = {name: begun[name].finish() for name in (*SIGNALS, "deaf")}
            told = fdr(lake, runs, "report", ended["SIGKILL"].directory.path, "--json")
        time.sleep(max(0.0, back_at - time.monotonic()))
        server.start()
        ended["alone"] = begun["alone"].finish()
    return CutRuns(ended, json.loads(told.stdout))


def test_a_minute_without_rucio_costs_lateness_only(lake: LakeHome, cut: CutRuns) -> None:
    """Files are put when they are due, and wait to be registered; the report says since when and how long."""
    run = cut.ended["alone"]
    assert run.code == 4, run.output  # as its broker was away too
    assert count_again(lake, run.directory, run.report) == ALL_OK
    assert rules_ok(run.report) == RULES
    assert failures(run.report) == {}
    assert "Rucio was out" in run.report["run"]["status"]
    phases = {phase["phase"]: phase["max"] for phase in run.report["phases"]}
    assert phases["upload.lateness"] < OUT_S / 2
    assert phases["upload.register"] > OUT_S / 2
    assert is_clean(run)


def test_events_that_were_missed_are_told_and_rules_still_tell(lake: LakeHome, cut: CutRuns) -> None:
    """Without a broker transfers are counted too low, which the report says; rules are followed by asking."""
    run = cut.ended["deaf"]
    report = run.report
    assert run.code == 4, run.output
    assert count_again(lake, run.directory, report) == ALL_OK
    assert rules_ok(report) == RULES
    assert report["transfers"]["events_lost"]
    assert report["transfers"]["done"] < FILES
    assert "never heard of" in report["run"]["status"]
    verdicts = {objective["text"]: objective["verdict"] for objective in report["objectives"]}
    assert verdicts["rule.success >= 100%"] == "pass"
    assert verdicts["transfer.success >= 100%"] == "inconclusive"
    assert is_clean(run)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_run_orderly(lake: LakeHome, cut: CutRuns, name: str) -> None:
    """No new starts, work in flight ends, the report is written and says what was not reached; code 130."""
    run = cut.ended[name]
    assert run.code == 130, run.output
    counted = count_again(lake, run.directory, run.report)
    assert counted["ok"] >= 15
    assert counted["failed"] == counted["unknown"] == 0
    assert f"the run was interrupted ({name})" in run.report["run"]["status"]
    assert run.report["run"]["ended"]
    assert run.report["verdict"] != "pass"
    assert is_clean(run)


def test_a_killed_run_is_reported_from_its_journal(lake: LakeHome, cut: CutRuns) -> None:
    """fdr report says that the run did not end, and counts what was recorded; the rest is unknown."""
    run, report = cut.ended["SIGKILL"], cut.report_of_killed
    assert run.code == -signal.SIGKILL
    counted = count_again(lake, run.directory, report)
    assert 0 < counted["ok"] < FILES
    assert counted["failed"] == counted["dropped"] == 0
    assert report["run"]["status"].startswith("the run did not end")
    assert not report["run"]["ended"]
    assert report["verdict"] != "pass"
