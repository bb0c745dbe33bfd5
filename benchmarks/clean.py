"""What it costs to clean a run of many files, on the embedded lake, up for scenarios/smoke.yaml.

Usage: python -m benchmarks.clean FILES [registered]

The run is made up: a journal that intends FILES files of one experiment. None of them was put; they are
looked for all the same. With ``registered`` Rucio knows them all, as replicas that no rule holds.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from fdr.catalog import NewDataset, NewReplica
from fdr.clean import clean_run
from fdr.journal.writer import Journal
from fdr.model import Did, Intention, Kind, RunStarted
from fdr.names import dataset_name, did_name
from fdr.reach import connect
from fdr.recorded_run import recorded_run
from fdr.rucio_catalog import RucioCatalog
from fdr.rundir import RunDir, new_run_id
from fdr.scenario.load import load_scenario

SMOKE = Path(__file__).parents[1] / "scenarios" / "smoke.yaml"
FILES_PER_DATASET = 500
RSE, SIZE = "PIC-DCACHE", 10
WAIT_S = 3600.0


async def make_up(directory: RunDir, files: int, is_registered: bool) -> None:
    """Write a scenario and the journal of a run; register its files if that is wanted."""
    text = SMOKE.read_text().replace("requests_per_second: 50", "requests_per_second: 1_000")
    directory.scenario.write_text(text)
    experiment = load_scenario(directory.scenario).experiments["CTA"]
    connection = connect("local")
    run = new_run_id(datetime.now(UTC))
    journal = Journal.create(
        directory.journal,
        RunStarted(
            run, "made up", 1, "", 1, 1, time.time(), "0", "0", "local", "", 1.0, str(connection.rucio_cfg)
        ),
    )
    catalog = RucioCatalog(connection)
    for number in range(-(-files // FILES_PER_DATASET)):
        dataset = Did(experiment.scope, dataset_name(experiment, run, number))
        members = range(number * FILES_PER_DATASET, min(files, (number + 1) * FILES_PER_DATASET))
        dids = [
            Did(experiment.scope, did_name(experiment, run, "20261122", number, file)) for file in members
        ]
        await journal.intend(
            [
                Intention(files + number, Kind.DATASET, "CTA", number, dataset, "", 0, 0.0),
                *(
                    Intention(file, Kind.UPLOAD, "CTA", number, did, RSE, SIZE, 0.0)
                    for file, did in zip(members, dids, strict=True)
                ),
            ]
        )
        if is_registered:
            await catalog.create_dataset(experiment.account, NewDataset(dataset, 24 * 3600))
            await catalog.register(
                experiment.account, [NewReplica(did, dataset, RSE, SIZE, "00000001") for did in dids]
            )
    await journal.close()
    await catalog.close()


def main() -> None:
    """Make a run up, clean it, and say what that took."""
    files = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as path:
        directory = RunDir(Path(path))
        asyncio.run(make_up(directory, files, "registered" in sys.argv[2:]))
        begun = time.monotonic(), time.process_time()
        cleaned = clean_run(recorded_run(directory), None, WAIT_S, print)
        wall_s, cpu_s = time.monotonic() - begun[0], time.process_time() - begun[1]
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(
        f"{files} files, nothing left: {cleaned.nothing_there}; {wall_s:.0f} s, "
        f"{cpu_s / files * 1000:.2f} ms of CPU a file, {peak_mb:.0f} MB at most"
    )


if __name__ == "__main__":
    main()
