"""Noise on the embedded lake: in calm, with things stopped and switched off, killed, and two at once."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fdr.journal.reader import read_journal
from fdr.lake.home import LakeHome
from fdr.lake.storages import storage_root
from fdr.model import Kind
from fdr.rundir import RunDir
from tests.lake.disturb import stopped, switched_off
from tests.lake.foreign import foreign_cfg
from tests.lake.recount import rows
from tests.lake.smoke_run import FDR, environment, fdr

pytestmark = pytest.mark.lake
DESY, PIC, SARA = "DESY-DCACHE", "PIC-DCACHE", "SARA-DCACHE"
WITHIN_S = 120
SMALL = "|".join((DESY, PIC, SARA)), "--size", "100kB"  # other tests may have added RSEs


@dataclass
class Pass:
    """A pass of noise that goes on in another process."""

    process: subprocess.Popen[str]
    runs: Path

    @property
    def run(self) -> RunDir:
        """Return its run, the latest."""
        return RunDir(max(path for path in self.runs.iterdir() if path.is_dir()))

    def wait_until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WITHIN_S
        while not holds():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline, "did not come to pass"
            time.sleep(0.1)

    def has_begun(self) -> bool:
        """Tell whether its journal is there."""
        return self.runs.is_dir() and any(self.runs.glob("*/journal.sqlite"))

    def has_intended_rules(self) -> bool:
        """Tell whether rules are about to be added, so that there are files."""
        if not self.has_begun():
            return False
        with read_journal(self.run.journal) as reader:
            return reader.count(Kind.RULE) > 0

    def finish(self) -> tuple[int, str, str]:
        """Return its exit code and what it said."""
        out, errors = self.process.communicate(timeout=WITHIN_S)
        return self.process.returncode, out, errors


@contextmanager
def begun(lake: LakeHome, runs: Path, *options: str | Path) -> Iterator[Pass]:
    """Begin a pass; it does not outlive the block."""
    process = subprocess.Popen(
        [str(FDR), "noise", *map(str, options), *SMALL],
        env=environment(lake, runs),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Pass(process, runs)
    finally:
        process.kill()
        process.communicate()


def noise_on_disks(lake: LakeHome) -> list[Path]:
    return [path for path in storage_root(lake).glob("*/data/rucio/noise/**/*") if path.is_file()]


def states(told: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(pair["src"], pair["dst"]): pair["state"] for pair in told["pairs"]}


def reason(told: dict[str, Any], src: str, dst: str) -> str:
    (pair,) = (pair for pair in told["pairs"] if (pair["src"], pair["dst"]) == (src, dst))
    return str(pair["reason"])


# --- in calm --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Calm:
    """Passes that went on at the same time, and what Rucio held of the first meanwhile.

    The first is on every beat, and is interrupted after one pass; ``second`` wanted to use the same runs;
    ``mesh`` is as another account, on the lake as if it were another's; one was interrupted, one killed.
    """

    first: tuple[int, str, str]
    run: RunDir
    numbers: str
    dids: list[tuple[str, ...]]
    rules: list[tuple[str, ...]]
    second: subprocess.CompletedProcess[str]
    mesh: tuple[int, str, str]
    interrupted: tuple[int, str, str]
    killed: RunDir


@pytest.fixture(scope="module")
def calm(lake: LakeHome, tmp_path_factory: pytest.TempPathFactory) -> Calm:
    root = tmp_path_factory.mktemp("calm")
    numbers = root / "fdr.prom"
    with ExitStack() as leaving:

        def begin(name: str, *options: str | Path) -> Pass:
            return leaving.enter_context(begun(lake, root / name, *options))

        first = begin("first", "--every", "1h", "--prometheus-file", numbers)
        first.wait_until(first.has_begun)  # only one process at a time may make accounts
        cfg = foreign_cfg(lake, root / "cfg", account="ska")  # other tests give other accounts more scopes
        mesh = begin("mesh", "--mesh", "--json", "--lake", cfg)
        second = fdr(lake, first.runs, "noise")
        interrupted = begin("interrupted")
        run = f"scope = 'noise' AND name LIKE '{first.run.path.name}/%'"
        dids_asked = f"SELECT did_type, project, campaign, account, name FROM dids WHERE {run}"
        rules_asked = f"SELECT rse_expression, activity, expires_at - created_at FROM rules WHERE {run}"
        first.wait_until(lambda: len(rows(lake, dids_asked)) == 6 and len(rows(lake, rules_asked)) == 9)
        dids, rules = rows(lake, dids_asked), rows(lake, rules_asked)
        interrupted.wait_until(interrupted.has_intended_rules)
        interrupted.process.send_signal(signal.SIGINT)
        killed = begin("killed")
        killed.wait_until(killed.has_intended_rules)
        killed.process.kill()
        first.wait_until(numbers.exists)
        first.process.send_signal(signal.SIGINT)
        return Calm(
            first.finish(), first.run, numbers.read_text(), dids, rules, second, mesh.finish(),
            interrupted.finish(), killed.run,
        )  # fmt: skip


def test_every_pair_is_ok_and_said_so_in_one_line(calm: Calm) -> None:
    """One line for a pass; Ctrl-C between two ends all of them, with its exit code."""
    code, out, errors = calm.first
    (line,) = out.splitlines()
    assert line.startswith(f"noise {calm.run.path.name}: 6 of 6 pairs ok, ")
    assert line.endswith("; nothing left")
    assert errors.strip() in {"", "Aborted."}
    assert code == 130
    told = json.loads((calm.run.path / "noise.json").read_text())
    assert set(states(told).values()) == {"ok"}
    assert told["exit_code"] == 0
    assert all(pair["duration_s"] > 0 for pair in told["pairs"])


def test_what_is_made_is_marked_as_noise_and_expires(calm: Calm) -> None:
    """Datasets and files alike, by metadata that Rucio finds; rules, also of uploads, live for an hour."""
    assert {did[1:4] for did in calm.dids} == {("fdr", "noise", "noise")}
    assert sorted(did[0] for did in calm.dids) == ["D"] * 3 + ["F"] * 3
    for rse in (DESY, PIC, SARA):
        assert any(rse in did[4] for did in calm.dids if did[0] == "F")
    assert sorted(rule[0] for rule in calm.rules) == sorted([DESY, PIC, SARA] * 3)
    assert {rule[1] for rule in calm.rules} == {"Functional Test"}
    assert {rule[2].partition(".")[0] for rule in calm.rules} <= {"01:00:00", "00:59:59"}


def test_it_is_a_run_like_any_other_and_nothing_is_left_of_it(lake: LakeHome, calm: Calm) -> None:
    """It has a report, and can be audited; Rucio and the storages hold nothing of it."""
    report = json.loads(calm.run.json.read_text())
    assert (report["run"]["scenario"], report["verdict"]) == ("noise", "pass")
    assert sum(row["done"] for row in report["transfers"]["matrix"]) == 6
    assert fdr(lake, calm.run.path.parent, "audit", calm.run.path).returncode == 0
    assert rows(lake, f"SELECT name FROM dids WHERE name LIKE '{calm.run.path.name}%'") == []
    assert [path for path in noise_on_disks(lake) if calm.run.path.name in str(path)] == []


def test_prometheus_gets_a_number_for_every_pair(calm: Calm) -> None:
    """In a file that is there whole."""
    ok = [line for line in calm.numbers.splitlines() if line.startswith("fdr_noise_pair_ok{")]
    assert len(ok) == 6
    assert all(line.endswith(" 1.0") for line in ok)
    assert 'fdr_noise_last_pass_exit_code{lake="local"} 0.0' in calm.numbers


def test_a_second_pass_does_not_pile_up(calm: Calm) -> None:
    """It says that there is one, and ends with an exit code that nothing else has."""
    assert calm.second.returncode == 6
    (line,) = calm.second.stdout.splitlines()
    assert line.startswith(f"fdr: another fdr noise is under way in {calm.run.path.parent} (process ")


def test_a_mesh_uploads_a_file_for_every_pair_on_a_lake_that_is_not_ours(calm: Calm) -> None:
    """As the account of the rucio.cfg, in the only scope that it owns; each copy is of its own file."""
    code, out, errors = calm.mesh
    assert (code, errors) == (0, "")
    told = json.loads(out)
    assert (told["account"], told["scope"], told["mesh"]) == ("ska", "ska_fdr", True)
    assert set(states(told).values()) == {"ok"}
    assert {(pair["src"], pair["copied_from"]) for pair in told["pairs"]} == {
        (r, r) for r in (DESY, PIC, SARA)
    }
    report = json.loads(RunDir(Path(told["run_dir"])).json.read_text())
    assert {name: one["files"]["ok"] for name, one in report["experiments"].items()} == {
        f"{src}--{dst}": 1 for src in (DESY, PIC, SARA) for dst in (DESY, PIC, SARA) if src != dst
    }


def test_an_interrupted_pass_ends_orderly(calm: Calm) -> None:
    """Its line says so and what of it is left, and Rucio has been asked to delete that."""
    code, out, _ = calm.interrupted
    assert code == 130
    (line,) = out.splitlines()
    assert "; interrupted; " in line


# --- in bad weather -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rough:
    """Two passes: without FTS and an RSE to write to, then without a storage and an RSE to read from."""

    no_fts: tuple[int, dict[str, Any]]
    no_storage: tuple[int, str]
    told: dict[str, Any]
    runs: Path


@pytest.fixture(scope="module")
def rough(lake: LakeHome, calm: Calm, tmp_path_factory: pytest.TempPathFactory) -> Rough:
    runs = calm.killed.path.parent
    (runs / "20200101T000000-aaaa").mkdir()  # somebody's, and older than all
    with stopped(lake, "fts"), switched_off(lake, PIC, "write"):
        done = fdr(lake, runs, "noise", *SMALL, "--wait", "4s", "--clean-wait", "0s", "--json")
        no_fts = done.returncode, json.loads(done.stdout)
    with stopped(lake, f"xrootd-{SARA}"), switched_off(lake, PIC, "read"):
        done = fdr(lake, runs, "noise", *SMALL, "-v", "--keep", "2", "--clean-wait", "0s")
    told = json.loads((max(runs.glob("2026*")) / "noise.json").read_text())
    return Rough(no_fts, (done.returncode, done.stdout), told, runs)


def test_a_switched_off_rse_is_skipped_and_said_so(rough: Rough) -> None:
    """Off for writing it takes no part; off for reading nothing is copied from it, but to it."""
    _, told = rough.no_fts
    off = "is not available for writing"
    assert {pair for pair, state in states(told).items() if state == "skipped"} == {
        (DESY, PIC), (SARA, PIC), (PIC, DESY), (PIC, SARA),
    }  # fmt: skip
    assert reason(told, DESY, PIC) == reason(told, PIC, SARA) == f"{PIC} {off}"
    assert {one["rse"]: one["destination"] for one in told["rses"]} == {DESY: None, PIC: off, SARA: None}
    after = states(rough.told)
    assert (after[PIC, DESY], after[DESY, PIC]) == ("skipped", "ok")
    assert f"skipped {PIC} as a source: is not available for reading" in rough.no_storage[1]


def test_without_fts_pairs_are_replicating_or_stuck_when_the_wait_is_over(rough: Rough) -> None:
    """A rule is stuck once Rucio has given up its submission. What is left is said with its bound."""
    code, told = rough.no_fts
    found = {states(told)[DESY, SARA], states(told)[SARA, DESY]}
    assert found <= {"replicating", "stuck"}
    assert code == (3 if "stuck" in found else 4)
    assert told["duration_s"] < 40
    assert told["left"]["replica"] > 0
    assert told["expires_at"] > told["ended_at"]


def test_an_rse_that_is_down_costs_its_own_pairs_only(rough: Rough) -> None:
    """Its pairs have failed with the reason; others are ok; the matrix shows both."""
    code, out = rough.no_storage
    assert code == 3
    found = states(rough.told)
    assert found[DESY, PIC] == "ok"
    assert [found[DESY, SARA], found[SARA, DESY], found[SARA, PIC]] == ["failed"] * 3
    assert reason(rough.told, DESY, SARA).startswith(f"{SARA} cannot be written: connection-refused")
    summary, _, head, *rest = out.splitlines()
    assert "1 of 4 pairs ok, 3 failed, 2 skipped" in summary
    assert head.split() == ["from", "\\", "to", "1", "2", "3"]
    assert rest[2].split() == ["3", SARA, "failed", "failed", "·"]


def test_later_passes_clean_and_prune_earlier_ones(lake: LakeHome, rough: Rough, calm: Calm) -> None:
    """What a killed pass left is deleted by the next; old runs of noise go, and nothing else does."""
    kept = {path.name for path in rough.runs.iterdir() if path.is_dir()}
    assert kept == {"20200101T000000-aaaa", rough.no_fts[1]["run"], rough.told["run"]}
    deadline = time.monotonic() + WITHIN_S
    killed = f"SELECT name FROM dids WHERE scope = 'noise' AND name LIKE '{calm.killed.path.name}/%'"
    while (left := rows(lake, killed)) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert left == []


def test_a_lake_that_is_not_there_is_told_and_prometheus_too(tmp_path: Path) -> None:
    """Exit code 5; the numbers of pairs are gone, and the exit code stands in their place."""
    cfg = tmp_path / "rucio.cfg"
    cfg.write_text(
        "[client]\nrucio_host = http://127.0.0.1:9\nauth_type = userpass\nusername = u\npassword = s3cr3t\n"
    )
    numbers = tmp_path / "fdr.prom"
    done = subprocess.run(
        [str(FDR), "noise", "--lake", str(cfg), "--prometheus-file", str(numbers)],
        env=environment(LakeHome(tmp_path), tmp_path / "runs"),
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.startswith("fdr: ")
    assert "Traceback" not in done.stderr
    assert "s3cr3t" not in done.stderr + numbers.read_text()
    assert 'fdr_noise_last_pass_exit_code{lake="http://127.0.0.1:9"} 5.0' in numbers.read_text()
    assert "pair_ok" not in numbers.read_text()
