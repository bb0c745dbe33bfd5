"""What is done to a run behind its back, on Rucio's side or on the disks, an audit names."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fdr.catalog import NewDataset, NewReplica
from fdr.connection import read_connection
from fdr.errors import ExitCode
from fdr.journal.reader import read_journal
from fdr.journal.writer import Journal
from fdr.lake.embedded import current_settings
from fdr.lake.home import LakeHome
from fdr.lake.storages import start, storage_root
from fdr.lake.supervision import Keeper
from fdr.lake.xrootd import storage_directory
from fdr.model import Audited, Did, Ending, Intention, Kind, Outcome
from fdr.payload import Payload
from fdr.pfn import Locator
from fdr.reach import reach
from fdr.rucio_catalog import RucioCatalog
from fdr.rucio_inventory import RucioInventory
from tests.lake.foreign import foreign_cfg
from tests.lake.smoke_run import FinishedRun, run_smoke
from tests.lake.smoke_run import fdr as run_fdr

pytestmark = pytest.mark.lake

FILES, COPIES = 132, 132 + 192
FOUND = {"lost": 2, "dark": 1, "wrong": 2, "unrecorded": 2}
PIC = "PIC-DCACHE"  # where CTA's files are put


@pytest.fixture(scope="module")
def run(lake: LakeHome, tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """One smoke run for all audits here, each of which leaves it as it was."""
    return run_smoke(lake, tmp_path_factory.mktemp("runs"), "--speed", "4")


@pytest.fixture
def catalog(lake: LakeHome) -> Iterator[RucioCatalog]:
    catalog = RucioCatalog(read_connection(lake.client_cfg))
    yield catalog
    catalog.door.close()


def audit(lake: LakeHome, run: FinishedRun) -> tuple[int, dict[str, Any]]:
    """Audit a run as a script does; return the exit code and what was told."""
    done = run_fdr(lake, run.directory.path, "audit", run.directory.path, "--json")
    assert "Traceback" not in done.stdout
    return done.returncode, json.loads(done.stdout)


def uploads(run: FinishedRun) -> list[Intention]:
    with read_journal(run.directory.journal) as reader:
        return [intention for intention in reader.by_dataset(Kind.UPLOAD) if intention.experiment == "CTA"]


def on_disk(lake: LakeHome, rse: str, did: Did) -> Path:
    """Return where the bytes of a replica lie on this machine's disk."""
    (path,) = (storage_directory(rse, storage_root(lake)) / did.scope).glob(f"*/*/{did.name}")
    return path


def test_a_run_with_an_objective_on_it_is_audited_at_its_end(lake: LakeHome, run: FinishedRun) -> None:
    """The verdict can be had with one command; nothing is lost or dark, and every copy was looked at."""
    assert run.report["audit"] is not None, run.output
    assert (run.report["audit"]["files"], run.report["audit"]["copies"]) == (FILES, COPIES)
    judged = {objective["text"]: objective["verdict"] for objective in run.report["objectives"]}
    assert judged["lost == 0"] == "pass"
    code, told = audit(lake, run)
    assert (code, told["findings"], told["complete"]) == (ExitCode.PASSED, [], True)
    assert (told["files"], told["copies"], told["datasets"], told["rules"]) == (FILES, COPIES, 7, 10)
    with read_journal(run.directory.journal) as reader:
        audits = [event for event in reader.events() if isinstance(event, Audited)]
    assert len(audits) == 2


def test_a_storage_that_is_down_leaves_it_open(lake: LakeHome, run: FinishedRun) -> None:
    """Nobody can say that nothing is lost there; the audit says where it could not look, and why."""
    keeper = Keeper(lake)
    keeper.end([f"xrootd-{PIC}"])
    try:
        code, told = audit(lake, run)
    finally:
        start(lake, current_settings(lake), print)
    assert code == ExitCode.INCONCLUSIVE
    (unseen,) = told["unseen"]
    assert unseen["rse"] == PIC
    assert unseen["copies"] >= 60
    assert (told["findings"], told["complete"]) == ([], False)


def test_a_lake_that_does_not_answer_is_not_a_clean_one(
    lake: LakeHome, run: FinishedRun, tmp_path: Path
) -> None:
    """Exit code 5, in a sentence, and nothing is added to the record."""
    nowhere = {"rucio_host": "http://127.0.0.1:9", "auth_host": "http://127.0.0.1:9"}
    cfg = foreign_cfg(lake, tmp_path / "rucio.cfg", **nowhere)
    before = run.directory.journal.read_bytes()
    done = run_fdr(lake, tmp_path, "audit", run.directory.path, "--lake", cfg)
    assert done.returncode == ExitCode.LAKE_UNUSABLE, done.stdout
    assert "cannot be audited" in done.stdout
    assert run.directory.journal.read_bytes() == before


def test_every_sort_of_damage_is_named(lake: LakeHome, run: FinishedRun, catalog: RucioCatalog) -> None:
    """Bytes deleted, cut and changed on the disks, a file never registered, and strangers: exit code 3."""
    files = uploads(run)
    places = [(file, file.rse) for file in files[:3]]
    places.append((files[3], asyncio.run(_copied_to(catalog, files[3]))))
    deleted, cut, changed, copy = (on_disk(lake, rse, file.did) for file, rse in places)
    before = {path: path.read_bytes() for path in (deleted, cut, changed, copy)}
    deleted.unlink()
    copy.unlink()
    cut.write_bytes(before[cut][:-1])
    changed.write_bytes(bytes(byte ^ 1 for byte in before[changed]))
    dark = asyncio.run(_never_registered(lake, run, files[-1]))
    dataset, stranger, extra = asyncio.run(_attached(run, catalog, files[0]))
    try:
        code, told = audit(lake, run)
    finally:
        for path, content in before.items():
            path.write_bytes(content)
    assert code == ExitCode.OBJECTIVE_FAILED
    named = {(finding["sort"], finding["name"], finding["where"]) for finding in told["findings"]}
    assert named == {
        ("lost", str(files[0].did), PIC),
        ("lost", str(files[3].did), places[3][1]),
        ("wrong", str(files[1].did), PIC),
        ("wrong", str(files[2].did), PIC),
        ("dark", str(dark), PIC),
        ("unrecorded", str(stranger), str(dataset)),
        ("unrecorded", str(extra), "Rucio"),
    }
    assert {sort: told[sort] for sort in FOUND} == FOUND
    report = json.loads(run_fdr(lake, run.directory.path, "report", run.directory.path, "--json").stdout)
    judged = {objective["text"]: objective["verdict"] for objective in report["objectives"]}
    assert judged["lost == 0"] == "fail"
    assert report["audit"]["dark"] == 1


async def _copied_to(catalog: RucioCatalog, file: Intention) -> str:
    """Return an RSE to which a rule took a file."""
    records = await RucioInventory(catalog.door).files("cta", [file.did])
    return min(records[file.did].rses - {file.rse})


async def _never_registered(lake: LakeHome, run: FinishedRun, like: Intention) -> Did:
    """Put a file, as the run would, whose registration Rucio refused; return its DID."""
    did = Did(like.did.scope, f"{like.did.name}.dark")
    payload = Payload("dark", 100)
    async with reach(read_connection(lake.client_cfg)) as doors:
        facts = await doors.catalog.rse("cta", PIC)
        assert facts is not None
        await doors.storage.put(payload, Locator(facts).url(did))
    now = time.time()
    action = like.action + 10_000
    journal = Journal.reopen(run.directory.journal)
    await journal.intend([replace(like, action=action, did=did)])
    journal.record(Outcome(action, "put", now, now, Ending.OK, detail=payload.adler32()))
    journal.record(Outcome(action, "register", now, now, Ending.FAILED, "access-denied"))
    await journal.close()
    return did


async def _attached(run: FinishedRun, catalog: RucioCatalog, like: Intention) -> tuple[Did, Did, Did]:
    """Attach a stranger to a dataset of the run, and make one more under its name; return all three."""
    with read_journal(run.directory.journal) as reader:
        dataset = next(
            intention.did
            for intention in reader.by_dataset(Kind.DATASET)
            if (intention.experiment, intention.dataset) == (like.experiment, like.dataset)
        )
    stranger, extra = Did("cta_fdr", f"{like.did.name}.stranger"), Did("cta_fdr", f"{dataset.name}-extra")
    await catalog.door.call("root", lambda client: client.set_status(*_parts(dataset), open=True))
    await catalog.register("cta", [NewReplica(stranger, dataset, PIC, 1, "00000001")])
    await catalog.create_dataset("cta", NewDataset(extra, 600))
    return dataset, stranger, extra


def _parts(did: Did) -> tuple[str, str]:
    return did.scope, did.name
