"""Kill rehearsals at random moments, resume them, and count what became of every file.

``python -m tests.lake.crash``, or ``make crash-test``, brings up a lake of its own and takes it away again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from fdr.lake import embedded
from fdr.lake.home import LakeHome
from fdr.lake.prepare import prepare_embedded
from fdr.model import Did, Kind, Scenario
from fdr.names import dataset_name, did_name
from fdr.payload import Payload
from fdr.plan import plan
from fdr.recorded_run import RecordedRun, recorded_run
from fdr.rundir import RunDir
from tests.lake.recount import (
    Content,
    Place,
    files_on_disk,
    replicas_in_database,
    rows,
    rules_in_database,
)
from tests.lake.smoke import SMOKE, smoke
from tests.lake.smoke_run import FDR, environment

QUICK = ("--speed", "4", "--size-scale", "0.2")  # the smoke scenario in a few seconds
MOMENTS_S = 14.0  # kills are spread over so long: injection, and some of what follows
AGAIN = 0.3  # how often what goes on is killed too
WITHIN_S = 240


@dataclass(frozen=True, slots=True)
class Damage:
    """What a run has lost or doubled, in sentences; none of either when all is as it must be."""

    lost: tuple[str, ...]
    doubled: tuple[str, ...]


def killed(command: list[str], lake: LakeHome, runs: Path, directory: RunDir, after_s: float) -> bool:
    """Run a command and kill its whole process group; return False if it had ended before.

    ``after_s`` counts from when the run's journal was there.
    """
    output = (runs / "output.txt").open("a")
    process = subprocess.Popen(
        command, env=environment(lake, runs), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    )
    output.close()
    try:
        deadline = time.monotonic() + 60
        while not directory.journal.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        return True
    return False


def kill_and_resume(lake: LakeHome, runs: Path, moments_s: Sequence[float]) -> tuple[int, RunDir]:
    """Kill a run at the first moment and its resumptions at the others, then let it end.

    It is gone on with by ``fdr resume`` and by the command that began it, in turn. Return how many kills
    there were, as a process may end before its moment, and the run's directory.
    """
    directory = RunDir(Path(tempfile.mkdtemp(prefix="crash-", dir=runs)))
    run = [str(FDR), "run", str(SMOKE), *QUICK, "--run-dir", str(directory.path), "--resume-if-exists"]
    resume = [str(FDR), "resume", str(directory.path)]
    for kills, (moment_s, command) in enumerate(zip((*moments_s, WITHIN_S), cycle((run, resume)))):
        if not killed(command, lake, runs, directory, moment_s):
            return kills, directory
    raise TimeoutError(f"{directory.path}: it did not end in {WITHIN_S} s")


def moments(draw: random.Random) -> tuple[float, ...]:
    """Draw when to kill a run, and, now and then, what goes on with it."""
    drawn = [draw.uniform(0, MOMENTS_S)]
    while draw.random() < AGAIN:
        drawn.append(draw.uniform(1, MOMENTS_S))
    return tuple(drawn)


def damage(lake: LakeHome, directory: RunDir) -> Damage:
    """Compare plan, report, Rucio's database and the disks, file by file."""
    run = recorded_run(directory)
    planned = planned_uploads(run)
    wanted = {place: content for place, (_, content) in planned.items()}
    replicas, on_disk = replicas_in_database(lake, run.started.run), files_on_disk(lake, run.started.run)
    lost = [
        f"{place.rse} {place.did}: {where} has {there.get(place)}, not {content}"
        for place, content in wanted.items()
        for where, there in (("Rucio", replicas), ("the disk", on_disk))
        if there.get(place) != content
    ]
    attached = Counter(attachments(lake, run.started.run))
    due = Counter((dataset, place.did) for place, (dataset, _) in planned.items())
    lost += [f"{file} is not in {dataset}" for dataset, file in due - attached]
    doubled = [f"{file} is in {dataset} too" for dataset, file in attached - due]
    known = {place.did for place in planned}
    doubled += [f"{place.rse} {place.did} was not planned" for place in replicas if place.did not in known]
    doubled += [f"{place.rse} {place.did} is only on the disk" for place in on_disk if place not in replicas]
    rules = len(rules_in_database(lake, run.started.run))
    planned_rules = sum(action.kind is Kind.RULE for action in plan(run.scenario))
    if rules != planned_rules:
        (doubled if rules > planned_rules else lost).append(f"{rules} rules, not {planned_rules}")
    return Damage((*lost, *untold(directory, run.scenario)), tuple(doubled))


def untold(directory: RunDir, scenario: Scenario) -> list[str]:
    """Return what the report should say and does not: every file and every rule OK."""
    if not directory.json.exists():
        return ["there is no report"]
    told = json.loads(directory.json.read_text())["experiments"]
    missing = [f"the report says nothing of {name}" for name in scenario.experiments if name not in told]
    for name, experiment in told.items():
        files, rules = experiment["files"], experiment["rules"]
        if not files["planned"] == files["ok"] == files["registered"]:
            missing.append(f"the report says of {name}'s files: {files}")
        if rules["planned"] != rules["ok"]:
            missing.append(f"the report says of {name}'s rules: {rules}")
    return missing


def planned_uploads(run: RecordedRun) -> dict[Place, tuple[Did, Content]]:
    """Return every file of the plan at its RSE, with its dataset and what its bytes must come to."""
    date = time.strftime("%Y%m%d", time.gmtime(run.started.started_at))
    planned = {}
    for action in plan(run.scenario):
        if action.kind is Kind.UPLOAD and action.rse is not None and action.file is not None:
            experiment = run.scenario.experiments[action.experiment]
            dataset = Did(experiment.scope, dataset_name(experiment, run.started.run, action.dataset))
            name = did_name(experiment, run.started.run, date, action.dataset, action.file)
            file = Did(experiment.scope, name)
            adler32 = 1
            for chunk in Payload(f"{run.scenario.seed}/{file}", action.size_bytes).chunks():
                adler32 = zlib.adler32(chunk, adler32)
            planned[Place(action.rse, file)] = dataset, Content(action.size_bytes, f"{adler32:08x}")
    return planned


def attachments(lake: LakeHome, run: str) -> list[tuple[Did, Did]]:
    """Return the pairs of dataset and file that Rucio's database has of a run."""
    sql = f"SELECT scope, name, child_scope, child_name FROM contents WHERE name LIKE '{run}/%'"
    return [(Did(scope, name), Did(*child)) for scope, name, *child in rows(lake, sql)]


def main() -> int:
    """Kill until enough kills have been made; print each, then the sum; 0 if nothing was lost or doubled."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=20, help="how many kills at least (20)")
    options.add_argument("--seed", type=int, default=1, help="draws the moments (1)")
    chosen = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fdr-crash-", dir="/var/tmp"))
    folder.chmod(0o755)
    lake = LakeHome(folder / "lake")
    kills = lost = doubled = 0
    draw = random.Random(chosen.seed)
    try:
        embedded.up(lake)
        prepare_embedded(lake, smoke())
        while kills < chosen.kills:
            drawn = moments(draw)
            count, directory = kill_and_resume(lake, folder, drawn)
            harm = damage(lake, directory)
            kills, lost, doubled = kills + count, lost + len(harm.lost), doubled + len(harm.doubled)
            when = ", ".join(f"{moment:.2f} s" for moment in drawn[:count]) or "no time: it had ended"
            print(f"killed at {when}: {len(harm.lost)} lost, {len(harm.doubled)} doubled", flush=True)
            for sentence in (*harm.lost[:5], *harm.doubled[:5]):
                print(f"  {sentence}", flush=True)
        print(f"{kills} kills, {lost} lost, {doubled} doubled")
    finally:
        embedded.reset(lake)
        if not lost and not doubled:
            shutil.rmtree(folder)
        else:
            print(f"the runs are in {folder}", file=sys.stderr)
    return int(bool(lost or doubled))


if __name__ == "__main__":
    sys.exit(main())
