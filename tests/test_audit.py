"""An audit of a whole run finds what was done to it, and nothing where nothing was."""

from __future__ import annotations

import asyncio
from collections import Counter
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from rich.console import Console

from fdr.audit.auditor import Auditor
from fdr.audit.command import audit_run, exit_code
from fdr.audit.compare import Bytes
from fdr.audit.finding import KEPT, Audit, Fate, Finding, Sort
from fdr.audit.look import AT_ONCE, GIVEN_UP_AFTER, Lookout
from fdr.audit.tell import SHOWN, show, to_json, to_json_text
from fdr.catalog import NewDataset, NewReplica
from fdr.errors import ExitCode, Refused, Unclear, UsageError
from fdr.journal.reader import read_journal
from fdr.journal.writer import Journal
from fdr.model import CLEANING, Did, Note, Rule, When
from fdr.rundir import RunDir
from fdr.storage.base import Stat
from tests.fakes.inventory import FakeInventory
from tests.fakes.storage import FakeStorage
from tests.lake.smoke import SMOKE, smoke
from tests.test_engine import FILES, RUN, Stage

COPIES = 132 + 192  # where the files were put, and where the rules of the smoke scenario take them


class Audited:
    """A run of the smoke scenario in memory that is over, its rules done."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.catalog, self.storage = stage, stage.catalog, stage.storage
        self.inventory = FakeInventory(stage.catalog)
        self.at = stage.clock.now()
        self.progress: list[tuple[int, int]] = []

    def replicate(self) -> None:
        """Put the bytes where the rules have their replicas."""
        for dataset in self.catalog.datasets.values():
            for did, replica in dataset.files.items():
                for rse in self.catalog.replica_states(did):
                    stat = Stat(replica.size_bytes, replica.adler32)
                    self.storage.files.setdefault(self.catalog.url(rse, did), stat)

    async def audit(self, after_s: float = 0.0) -> Audit:
        auditor = Auditor(self.catalog, self.inventory, self.storage, self.stage.scenario)
        with read_journal(self.stage.path) as reader:
            return await auditor.audit(reader, self.at + after_s, lambda *told: self.progress.append(told))

    def file(self) -> tuple[Did, NewReplica]:
        """Return a file of the run that is registered."""
        return next(iter(self.a_dataset()[1].items()))

    def a_dataset(self) -> tuple[Did, dict[Did, NewReplica]]:
        """Return a dataset of CTA, whose two rules each make a copy, and its files."""
        datasets = self.catalog.datasets.items()
        return next((did, dataset.files) for did, dataset in datasets if did.scope == "cta_fdr")


@pytest.fixture
async def run(tmp_path: Path) -> Audited:
    stage = Stage(tmp_path, smoke())
    await stage.perform()
    audited = Audited(stage)
    audited.replicate()
    return audited


def found(audit: Audit) -> Counter[tuple[Sort, str]]:
    return Counter((finding.sort, finding.where) for finding in audit.findings)


async def test_a_run_that_is_as_recorded_is_clean(run: Audited) -> None:
    """Every file and every copy of it is looked at, with few calls to Rucio."""
    before = run.catalog.requests
    audit = await run.audit()
    assert (audit.files, audit.copies, audit.datasets, audit.rules) == (FILES, COPIES, 7, 10)
    assert (audit.findings, audit.counts.total(), audit.fates, audit.unseen) == ([], 0, Counter(), Counter())
    assert exit_code(audit) is ExitCode.PASSED
    assert run.progress[-1] == (FILES, FILES)
    # Contents and files of each experiment; datasets and rules of each scope.
    assert run.catalog.requests - before == 2 * 3 + 2 * 3


async def test_bytes_deleted_behind_rucios_back_are_lost(run: Audited) -> None:
    """With the file and the RSE."""
    did, replica = run.file()
    del run.storage.files[run.catalog.url(replica.rse, did)]
    audit = await run.audit()
    (finding,) = audit.findings
    assert (finding.sort, finding.name, finding.where) == (Sort.LOST, str(did), replica.rse)
    assert finding.observed == "not on the storage"
    assert exit_code(audit) is ExitCode.OBJECTIVE_FAILED


async def test_a_file_that_rucio_forgot_is_lost_and_its_bytes_are_dark(run: Audited) -> None:
    """The copies that rules made are not looked for: nobody knows of them any more."""
    did, replica = run.file()
    run.inventory.forgotten.add(did)
    assert found(await run.audit()) == {(Sort.LOST, "Rucio"): 1, (Sort.DARK, replica.rse): 1}


async def test_other_bytes_are_wrong_at_every_rse(run: Audited) -> None:
    """Size and checksum, also of the copies that rules made."""
    did, replica = run.file()
    places = sorted(run.catalog.replica_states(did))
    assert len(places) == 3
    for rse in places:
        run.storage.files[run.catalog.url(rse, did)] = Stat(replica.size_bytes, "00000001")
    assert found(await run.audit()) == {(Sort.WRONG, rse): 1 for rse in places}


async def test_a_foreign_file_in_a_dataset_of_the_run_is_unrecorded(run: Audited) -> None:
    """Whoever attached it."""
    dataset, files = run.a_dataset()
    files[Did("user", "mine")] = NewReplica(Did("user", "mine"), dataset, "PIC-DCACHE", 1, "00000001")
    assert found(await run.audit()) == {(Sort.UNRECORDED, str(dataset)): 1}


async def test_a_file_that_was_detached_is_lost_from_its_dataset(run: Audited) -> None:
    """Though Rucio knows the file and the bytes are there."""
    (did, _), (dataset, files) = run.file(), run.a_dataset()
    other = Did("cta_fdr", "elsewhere/dataset")
    await run.catalog.create_dataset("cta", NewDataset(other, 60))
    run.catalog.datasets[other].files[did] = files.pop(did)
    assert found(await run.audit()) == {(Sort.LOST, str(dataset)): 1}


async def test_datasets_and_rules_under_the_runs_name_are_the_journals(run: Audited) -> None:
    """More of either is unrecorded, and less is lost."""
    extra = Did("cta_fdr", f"{RUN}/extra")
    await run.catalog.create_dataset("cta", NewDataset(extra, 60))
    rule_id = await run.catalog.add_rule("cta", extra, Rule("PIC-DCACHE", 1, 60, "Test", When.AT_CREATION))
    dropped = next(iter(run.catalog.rules_added))
    del run.catalog.rules_added[dropped]
    audit = await run.audit()
    named = {(finding.sort, finding.what, finding.name.split()[0]) for finding in audit.findings}
    assert named == {
        (Sort.UNRECORDED, "dataset", str(extra)),
        (Sort.UNRECORDED, "rule", rule_id),
        (Sort.LOST, "rule", dropped),
    }


async def test_what_expired_is_told_and_not_lost(run: Audited) -> None:
    """After the day that the smoke scenario's datasets live, gone is expired; other bytes are wrong still."""
    (did, _), (dataset, files) = run.file(), run.a_dataset()
    kept = list(files)[1]
    run.inventory.forgotten.add(did)
    run.storage.files = {
        url: Stat(1, "00000001") if url.endswith(kept.name) else stat
        for url, stat in run.storage.files.items()
        if not url.endswith(did.name)
    }
    for rule_id in [rule_id for rule_id, (_, on, _) in run.catalog.rules_added.items() if on == dataset]:
        del run.catalog.rules_added[rule_id]
    early, late = await run.audit(), await run.audit(after_s=90_000)
    assert early.counts[Sort.LOST] >= 3
    assert (late.fates[Fate.EXPIRED], late.expired_rules) == (1, 2)
    assert late.counts[Sort.LOST] == 0
    assert late.counts[Sort.WRONG] == 1
    assert late.event().expired == 3


async def test_a_run_that_was_removed_is_gone_rightly(run: Audited) -> None:
    """Nothing of it is lost, and what removing it made for itself is not called unrecorded."""
    journal = Journal.reopen(run.stage.path)
    journal.record(Note(run.at, CLEANING))
    await journal.close()
    run.catalog.datasets.clear()
    run.catalog.rules_added.clear()
    run.storage.files.clear()
    helper = Did("cta_fdr", f"{RUN}/CTA/cleaning-0123")
    await run.catalog.create_dataset("cta", NewDataset(helper, 60))
    await run.catalog.add_rule("cta", helper, Rule("PIC-DCACHE", 1, 60, "Test", When.AT_CREATION))
    audit = await run.audit()
    assert audit.findings == []
    assert (audit.fates[Fate.EXPIRED], audit.expired_datasets, audit.expired_rules) == (FILES, 7, 10)


async def test_a_storage_that_is_down_is_said_and_not_waited_for(run: Audited) -> None:
    """Not everything was looked at, so the audit is inconclusive; the storage is soon left alone."""
    down = urlsplit(run.catalog.url("SARA-DCACHE", Did("a", "b"))).netloc
    asked = Counter[bool]()
    stat = run.storage.stat

    async def stat_unless_down(url: str, *, with_checksum: bool = False) -> Stat | None:
        asked[down in url] += 1
        if down in url:
            raise Unclear("timeout", f"{url}: no answer")
        return await stat(url, with_checksum=with_checksum)

    run.storage.stat = stat_unless_down  # type: ignore[method-assign]
    audit = await run.audit()
    assert audit.unseen.keys() == {"SARA-DCACHE"}
    assert audit.unseen["SARA-DCACHE"] + asked[False] == COPIES
    assert asked[True] <= GIVEN_UP_AFTER + AT_ONCE
    assert exit_code(audit) is ExitCode.INCONCLUSIVE
    assert audit.event().unseen == audit.unseen.total()
    (told,) = to_json(audit)["unseen"]
    assert (told["rse"], told["copies"]) == ("SARA-DCACHE", audit.unseen["SARA-DCACHE"])
    assert "no answer" in told["why"]


async def test_a_storage_that_answers_now_and_then_is_asked_on() -> None:
    """Only silence in a row counts, and other failures are answers."""
    answers = iter("..x..x!!!!x")

    class Moody(FakeStorage):
        async def stat(self, url: str, *, with_checksum: bool = False) -> Stat | None:
            match next(answers):
                case ".":
                    raise Unclear("timeout", "no answer")
                case "!":
                    raise Refused("permission", "not for you")
            return Stat(1, "00000001")

    lookout = Lookout(Moody())
    looks = [await asyncio.gather(lookout.look("A", "root://a/1"), return_exceptions=True) for _ in range(11)]
    assert next(answers, None) is None
    assert [isinstance(look, Bytes) for (look,) in looks] == [False, False, True] * 2 + [False] * 4 + [True]


async def test_a_storage_that_tells_no_checksum_is_not_called_right() -> None:
    """Size alone proves little."""
    storage = FakeStorage()
    storage.files["root://a/1"] = Stat(1, None)
    with pytest.raises(Refused, match="no adler32"):
        await Lookout(storage).look("A", "root://a/1")


async def test_one_file_that_cannot_be_looked_at_does_not_hide_the_others(run: Audited) -> None:
    """A storage that answers is asked on."""
    did, replica = run.file()
    hidden = run.catalog.url(replica.rse, did)
    stat = run.storage.stat

    async def stat_unless_hidden(url: str, *, with_checksum: bool = False) -> Stat | None:
        if url == hidden:
            raise Refused("permission", f"{url}: not for you")
        return await stat(url, with_checksum=with_checksum)

    run.storage.stat = stat_unless_hidden  # type: ignore[method-assign]
    audit = await run.audit()
    assert (audit.unseen, audit.findings) == ({replica.rse: 1}, [])


async def test_what_is_found_is_looked_at_twice(run: Audited) -> None:
    """A replica that Rucio let go of between two looks is not lost."""
    did, replica = run.file()
    del run.storage.files[run.catalog.url(replica.rse, did)]
    looks = Counter[str]()

    def weather(operation: str, subject: object) -> None:
        looks[operation] += 1
        if looks["files"] > 1:
            run.inventory.states[did] = {replica.rse: "BEING_DELETED"}

    run.catalog.weather = weather
    assert (await run.audit()).findings == []


async def test_uploads_that_failed_or_were_never_settled_are_told_as_what_they_are(tmp_path: Path) -> None:
    """Put and refused is dark; put and never settled is unknown, and dark when Rucio does not have it."""
    stage = Stage(tmp_path, smoke())
    broken = Counter[str]()

    def weather(operation: str, subject: object) -> None:
        if operation == "register" and isinstance(subject, list):
            owner = subject[0].did.scope
            broken[owner] += len(subject) if owner == "lsst_fdr" else 0
            if owner == "lsst_fdr":
                raise Refused("connection", "not today")
            if owner == "ska_fdr":
                raise Unclear("timeout", "no answer")

    stage.catalog.weather = weather
    await stage.perform()
    run = Audited(stage)
    run.replicate()
    audit = await run.audit()
    assert audit.counts == {Sort.DARK: 40 + 32}
    assert audit.fates == {Fate.UNKNOWN_ON_STORAGE: 32}
    assert audit.unknown == 32


async def test_a_run_that_is_alive_is_not_audited(run: Audited) -> None:
    """Its record still grows, and one process at a time writes it."""
    directory = RunDir(run.stage.path.parent)
    directory.scenario.write_text(SMOKE.read_text())
    with directory.held(), pytest.raises(UsageError, match="alive"):
        audit_run(directory, None, Console())


def test_what_is_told_fits_a_terminal_and_leaves_nothing_out() -> None:
    """Findings in a table, remarks, and the summary last."""
    audit = Audit("run", 0.0, files=10, copies=20)
    audit.add(
        *(Finding(Sort.LOST, "file", f"a:{number}", "X", "there", "gone") for number in range(SHOWN + 7))
    )
    audit.fates[Fate.UNKNOWN_NOWHERE] = 3
    audit.fates[Fate.ELSEWHERE] = 2
    audit.expired_rules = 4
    audit.unseen["Y"], audit.why["Y"] = 5, "no answer"
    out = StringIO()
    show(audit, Console(file=out, width=80))
    text = " ".join(out.getvalue().split())
    for said in (
        "and 7 more",
        "3 files of which the journal does not say how they ended: 3 are nowhere",
        "2 files are no longer where they were put",
        "4 rules",
        "5 copies at Y could not be looked at: no answer",
    ):
        assert said in text
    assert text.endswith("27 lost, 0 dark, 0 wrong, 0 unrecorded; NOT everything could be looked at")
    assert max(map(len, out.getvalue().splitlines())) <= 80


def test_a_great_many_findings_are_counted_and_the_first_named() -> None:
    """An audit of a ruin fits in memory, and says how much it left out."""
    audit = Audit("run", 0.0)
    for number in range(KEPT + 5):
        audit.add(Finding(Sort.LOST, "file", f"a:{number}", "X", "", ""))
    audit.add(Finding(Sort.DARK, "file", "a:b", "X", "", ""))
    told = to_json(audit)
    assert (told["lost"], told["dark"]) == (KEPT + 5, 1)
    assert len(told["findings"]) == KEPT + 1
    assert told["findings_left_out"] == 5
    assert to_json_text(audit).endswith("}\n")
