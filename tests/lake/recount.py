"""Count again, without fdr's folds, what a run left: in its journal, in Rucio's database, on the disks."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

from fdr.journal.reader import read_journal
from fdr.lake.embedded import current_settings
from fdr.lake.home import LakeHome
from fdr.lake.postgres import query
from fdr.lake.storages import storage_root
from fdr.lake.xrootd import storage_directory
from fdr.model import Did, Ending, Intention, Kind, Outcome
from fdr.planned import planned
from fdr.rucio_catalog import UPLOAD_COMMENT
from fdr.rundir import RunDir
from fdr.scenario.load import load_scenario


class Place(NamedTuple):
    """Where a copy of a file is."""

    rse: str
    did: Did


class Content(NamedTuple):
    """What can be told of a copy's bytes."""

    size_bytes: int
    adler32: str


@dataclass(frozen=True)
class Upload:
    """A file that the run meant to put, and how the journal says that ended."""

    experiment: str
    place: Place
    content: Content
    put: str
    register: str

    @property
    def ending(self) -> str:
        """Return ok, failed, unknown or dropped, for the file as a whole."""
        return self.register if self.put == "ok" else self.put


def rows(lake: LakeHome, sql: str) -> list[tuple[str, ...]]:
    """Ask Rucio's database."""
    return query(lake, current_settings(lake), sql)


def run_id(directory: RunDir) -> str:
    """Return the id that the names of the run's files begin with."""
    with read_journal(directory.journal) as reader:
        return reader.started.run


def replicas_in_database(lake: LakeHome, run: str) -> dict[Place, Content]:
    """Return the run's replicas that Rucio calls available."""
    return {
        Place(rse, Did(scope, name)): Content(int(size), adler32)
        for rse, scope, name, size, adler32 in rows(
            lake,
            "SELECT rse, replicas.scope, name, bytes, adler32 FROM replicas JOIN rses ON rses.id = rse_id"
            f" WHERE name LIKE '{run}/%' AND state = 'A'",
        )
    }


def attached_files(lake: LakeHome, run: str) -> set[Did]:
    """Return the run's files that are in a dataset."""
    sql = f"SELECT child_scope, child_name FROM contents WHERE name LIKE '{run}/%' AND child_type = 'F'"
    return {Did(scope, name) for scope, name in rows(lake, sql)}


def rules_in_database(lake: LakeHome, run: str) -> dict[str, str]:
    """Return the states of the run's rules, O for OK, by their ids as Rucio's clients see them.

    The rules that datasets are born with, for their uploads, are not among them.
    """
    sql = (
        f"SELECT replace(id::text, '-', ''), state FROM rules WHERE name LIKE '{run}/%'"
        f" AND comments <> '{UPLOAD_COMMENT}'"
    )
    return dict(rows(lake, sql))


def locks_in_database(lake: LakeHome, run: str, *, of_uploads: bool) -> Counter[str]:
    """Count the states of the run's locks, O for OK: those of upload rules, or those of all other rules."""
    sql = (
        "SELECT locks.state FROM locks JOIN rules ON rules.id = rule_id"
        f" WHERE locks.name LIKE '{run}/%' AND (comments = '{UPLOAD_COMMENT}') = {of_uploads}"
    )
    return Counter(state for (state,) in rows(lake, sql))


def rules_in_journal(directory: RunDir) -> set[str]:
    """Return the ids of the rules that the journal says were added."""
    with read_journal(directory.journal) as reader:
        return {
            event.detail
            for event in reader.events()
            if isinstance(event, Outcome) and event.step == "rule" and event.ending is Ending.OK
        }


def files_on_disk(lake: LakeHome, run: str) -> dict[Place, Content]:
    """Return the run's files on the disks of all RSEs: rules may choose those of other tests too."""
    found = {}
    for rse in current_settings(lake).sites:
        root = storage_directory(rse, storage_root(lake))
        for path in root.rglob("*"):
            # A hashed path: SCOPE/xx/yy/NAME, and the name begins with the run.
            parts = path.relative_to(root).parts
            if len(parts) > 3 and parts[3] == run and path.is_file():
                bytes_ = path.read_bytes()
                content = Content(len(bytes_), f"{zlib.adler32(bytes_):08x}")
                found[Place(rse, Did(parts[0], "/".join(parts[3:])))] = content
    return found


def uploads_in_journal(directory: RunDir) -> list[Upload]:
    """Return the uploads that the journal holds an intention of; what has no outcome is unknown."""
    with read_journal(directory.journal) as reader:
        events = list(reader.events())
    last = {(event.action, event.step): event for event in events if isinstance(event, Outcome)}
    intended = {event.action: event for event in events if isinstance(event, Intention)}
    uploads = []
    for upload in intended.values():
        if upload.kind is Kind.UPLOAD:
            put, register = (last.get((upload.action, step)) for step in ("put", "register"))
            uploads.append(
                Upload(
                    experiment=upload.experiment,
                    place=Place(upload.rse, upload.did),
                    content=Content(upload.size_bytes, put.detail if put else ""),
                    put=put.ending if put else Ending.UNKNOWN,
                    register=register.ending if register else Ending.UNKNOWN,
                )
            )
    return uploads


def count_again(lake: LakeHome, directory: RunDir, report: dict[str, Any]) -> Counter[str]:
    """Hold journal and report against Rucio's database and the disks; return how many files ended how.

    Nothing is lost: what is ok is registered, attached and on disk with its size and checksum, what failed
    or was dropped is not, and the rest is called unknown. The report says the same numbers, and what was
    planned is their sum. To be asked of a run that is over, while nothing is moved that it has left.
    """
    run = run_id(directory)
    uploads = uploads_in_journal(directory)
    replicas, on_disk = replicas_in_database(lake, run), files_on_disk(lake, run)
    attached = attached_files(lake, run)
    for upload in uploads:
        in_rucio = upload.place in replicas, upload.place.did in attached
        if upload.ending == Ending.OK:
            assert in_rucio == (True, True), upload
            assert replicas[upload.place] == on_disk.get(upload.place) == upload.content, upload
        elif upload.ending != Ending.UNKNOWN:
            assert in_rucio == (False, False), upload
        if upload.put in {Ending.FAILED, Ending.DROPPED}:
            assert upload.place not in on_disk, upload
    assert attached <= {upload.place.did for upload in uploads}
    assert replicas.items() <= on_disk.items()  # those that rules made, too
    _hold_against_report(uploads, directory, report)
    states = rules_in_database(lake, run)
    assert rules_in_journal(directory) <= states.keys()
    _hold_rules_against_report(states, report)
    copies = len(replicas) - sum(upload.place in replicas for upload in uploads)
    heard, is_heard_out = report["transfers"]["done"], came_to_its_end(report)
    assert heard == copies if is_heard_out else heard <= copies
    return Counter(upload.ending for upload in uploads)


def _hold_against_report(uploads: list[Upload], directory: RunDir, report: dict[str, Any]) -> None:
    plans = planned(load_scenario(directory.scenario)).experiments
    assert report["experiments"].keys() == plans.keys()
    for name, told in report["experiments"].items():
        mine = [upload for upload in uploads if upload.experiment == name]
        counted = Counter(upload.ending for upload in mine)
        files = told["files"]
        assert {ending: files[ending] for ending in Ending} == {ending: counted[ending] for ending in Ending}
        assert files["planned"] == plans[name].files == len(mine) + files["not_reached"]
        good = [upload.content.size_bytes for upload in mine if upload.ending == Ending.OK]
        assert told["bytes"]["ok"] == sum(good)
    unsettled = sum(upload.ending in {Ending.FAILED, Ending.DROPPED} for upload in uploads)
    of_files = [failure for failure in report["failures"] if failure["operation"] in {"put", "register"}]
    named = sum(failure["count"] for failure in of_files if failure["ending"] != Ending.UNKNOWN)
    assert named == unsettled


def _hold_rules_against_report(states: dict[str, str], report: dict[str, Any]) -> None:
    rules = [told["rules"] for told in report["experiments"].values()]
    assert Counter(states.values())["O"] >= sum(one["ok"] for one in rules)
    added = sum(one["added"] for one in rules)
    assert added <= len(states) <= added + sum(one["unknown"] for one in rules)


def came_to_its_end(report: dict[str, Any]) -> bool:
    """Tell whether the run followed its rules to their end and heard of all transfers."""
    return bool(report["run"]["status"] == "the run came to its end")


def report_of(directory: RunDir) -> dict[str, Any]:
    """Return the report that a run has written."""
    report: dict[str, Any] = json.loads(directory.json.read_text())
    return report
