"""Steps at a storage: one that fails is told, those that need it are skipped, what was put is deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from fdr.errors import LakeError, Refused, Unclear
from fdr.payload import Payload
from fdr.probe.plan import Place, Row
from fdr.probe.record import record_of
from fdr.probe.result import STEPS, State
from fdr.probe.steps import try_row
from fdr.probe.sweep import sweep
from fdr.probe.traces import Ledger
from fdr.stop import Stop

PLACE = Place("root://a//rucio/fdr-probe-x-0", "put")
ROW = Row("A", "root", "root://a//rucio/", PLACE)
PAYLOAD = Payload("p", 1000)
OK, FAILED, SKIPPED = State.OK, State.FAILED, State.SKIPPED
DOWN = Refused("connection-refused", f"{PLACE.url}: nobody there")


class Faulty:
    """A storage of one file in memory, on which some steps fail; it keeps the promises of GfalSteps."""

    def __init__(self, **faults: LakeError) -> None:
        self.faults = faults
        self.done: list[str] = []
        self.files: dict[str, Payload] = {}
        self.directories: set[str] = set()
        self.stop: Stop | None = None
        self.wrong_sum = False
        self.keeps = False

    def _do(self, step: str) -> None:
        self.done.append(step)
        if step in self.faults:
            raise self.faults[step]

    async def put_only(self, payload: Payload, url: str) -> None:
        self.done.append("put")
        error = self.faults.get("put")
        if not isinstance(error, Refused):
            self.files[url] = payload
            self.directories.add(url.rpartition("/")[0])
        if self.stop is not None:
            self.stop.because("interrupted", "SIGINT")
        if error is not None:
            raise error

    async def size(self, url: str) -> int:
        self._do("stat")
        if url not in self.files:
            raise Refused("not-found", f"{url}: no such file")
        return self.files[url].size_bytes

    async def adler32(self, url: str) -> str:
        self._do("checksum")
        return "00000bad" if self.wrong_sum else self.files[url].adler32()

    async def compare(self, payload: Payload, url: str) -> None:
        self._do("get")
        if payload != self.files[url]:
            raise Refused("content", f"{url}: other bytes")

    async def delete(self, urls: Sequence[str]) -> Mapping[str, LakeError]:
        self.done.append("delete")
        if "delete" in self.faults:
            return dict.fromkeys(urls, self.faults["delete"])
        for url in urls:
            if not self.keeps:
                self.files.pop(url, None)
        return {}

    async def remove_directory(self, url: str) -> None:
        self._do("rmdir")
        if any(file.startswith(url) for file in self.files):
            raise Refused("enotempty", f"{url}: not empty")
        self.directories.discard(url)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(record_of(tmp_path, "20261127T210000-7f3a", "local"), [PLACE])


async def outcome(storage: Faulty, ledger: Ledger, row: Row = ROW, stop: Stop | None = None) -> list[State]:
    tried = await try_row(row, PAYLOAD, storage, ledger, stop or Stop())  # type: ignore[arg-type]
    return [tried.steps[name].state for name in STEPS]


async def test_every_step_is_taken_and_nothing_is_left(ledger: Ledger, tmp_path: Path) -> None:
    """The file is seen to be gone, its directory goes, and so does the record."""
    storage = Faulty()
    assert await outcome(storage, ledger) == [OK] * 5
    assert storage.done == ["put", "stat", "checksum", "get", "delete", "stat"]
    left = await sweep(ledger, storage)  # type: ignore[arg-type]
    assert (not left, storage.files, storage.directories) == (True, {}, set())
    assert storage.done.count("delete") == 1  # one that is gone is not deleted again
    assert ledger.close(left.files, left.directories) == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["stat", "checksum", "get"])
async def test_a_look_that_fails_costs_no_other(ledger: Ledger, step: str) -> None:
    """The file is there all the same: the others are tried, and it is deleted."""
    storage = Faulty(**{step: Refused("timeout", f"{PLACE.url}: no answer")})
    tried = await try_row(ROW, PAYLOAD, storage, ledger, Stop())  # type: ignore[arg-type]
    failed = [name for name in STEPS if tried.steps[name].state is FAILED]
    assert failed == ([step, "delete"] if step == "stat" else [step])  # that it is gone is seen by a stat
    assert (tried.steps[step].reason, tried.steps[step].message) == ("timeout", "no answer")
    assert storage.files == {}


async def test_a_put_that_was_refused_leaves_nothing_to_do(ledger: Ledger) -> None:
    """What was never reached holds nothing, and need not be asked to delete it."""
    storage = Faulty(put=DOWN)
    assert await outcome(storage, ledger) == [FAILED, SKIPPED, SKIPPED, SKIPPED, SKIPPED]
    assert not await sweep(ledger, storage)  # type: ignore[arg-type]
    assert storage.done == ["put"]


async def test_a_put_that_was_refused_by_the_storage_may_have_made_the_directory(ledger: Ledger) -> None:
    """So that is removed."""
    storage = Faulty(put=Refused("not-supported", f"{PLACE.url}: not like this"))
    await outcome(storage, ledger)
    storage.directories.add(PLACE.directory)
    assert not await sweep(ledger, storage)  # type: ignore[arg-type]
    assert storage.directories == set()
    assert "delete" not in storage.done


async def test_a_file_that_was_never_there_is_not_left_though_it_may_not_be_deleted(ledger: Ledger) -> None:
    """Some storages refuse a deletion before they look; one that is there, or cannot be seen, may be left."""
    storage = Faulty(delete=Refused("permission", f"{PLACE.url}: not yours"))
    assert not await sweep(ledger, storage)  # type: ignore[arg-type]
    storage.files[PLACE.url] = PAYLOAD
    assert (await sweep(ledger, storage)).files == {PLACE.url: "permission: not yours"}  # type: ignore[arg-type]
    blind = Faulty(delete=Refused("permission", "no"), stat=Refused("permission", "no"))
    assert list((await sweep(ledger, blind)).files) == [PLACE.url]  # type: ignore[arg-type]


async def test_a_put_that_broke_off_may_have_left_a_file(ledger: Ledger) -> None:
    """It is deleted, though nothing else is tried."""
    storage = Faulty(put=Unclear("communication", "broke off"))
    assert await outcome(storage, ledger) == [FAILED, SKIPPED, SKIPPED, SKIPPED, OK]
    assert storage.files == {}
    assert not await sweep(ledger, storage)  # type: ignore[arg-type]


async def test_a_put_without_an_answer_is_looked_after_by_the_next_probe(ledger: Ledger) -> None:
    """It may still end, after the file was deleted."""
    storage = Faulty(put=Unclear("timeout", "no answer"))
    assert await outcome(storage, ledger) == [FAILED, SKIPPED, SKIPPED, SKIPPED, OK]
    left = await sweep(ledger, storage)  # type: ignore[arg-type]
    assert list(left.files) == [PLACE.url]
    assert ledger.close(left.files, left.directories) != ""


async def test_what_cannot_be_deleted_is_left_and_said(ledger: Ledger) -> None:
    """With the reason; the record keeps it."""
    storage = Faulty(delete=Unclear("timeout", f"{PLACE.url}: no answer"))
    assert await outcome(storage, ledger) == [OK, OK, OK, OK, FAILED]
    left = await sweep(ledger, storage)  # type: ignore[arg-type]
    assert left.files == {PLACE.url: "timeout: no answer"}
    assert left.counts == {"file": 1, "directory": 0, "job": 0}
    assert ledger.close(left.files, left.directories) != ""


async def test_a_storage_that_only_says_that_it_deleted_is_found_out(ledger: Ledger) -> None:
    """The file is looked for."""
    storage = Faulty()
    storage.keeps = True
    tried = await try_row(ROW, PAYLOAD, storage, ledger, Stop())  # type: ignore[arg-type]
    assert tried.steps["delete"].reason == "still-there"


async def test_other_numbers_are_failures(ledger: Ledger) -> None:
    """A size and a checksum that are not those of what was put."""
    storage = Faulty()
    storage.wrong_sum = True
    tried = await try_row(ROW, PAYLOAD, storage, ledger, Stop())  # type: ignore[arg-type]
    assert tried.steps["checksum"].reason == "checksum"
    assert "00000bad" in tried.steps["checksum"].message
    storage = Faulty()
    longer = Payload(PAYLOAD.key, 2000)

    async def puts_more(payload: Payload, url: str) -> None:
        storage.files[url] = longer

    storage.put_only = puts_more  # type: ignore[method-assign]
    tried = await try_row(ROW, PAYLOAD, storage, ledger, Stop())  # type: ignore[arg-type]
    assert [tried.steps[name].reason for name in STEPS] == ["", "size", "checksum", "content", ""]


async def test_an_interrupted_row_deletes_what_it_put(ledger: Ledger) -> None:
    """And tries nothing else; one that has not begun does nothing."""
    storage, stop = Faulty(), Stop()
    storage.stop = stop
    assert await outcome(storage, ledger, ROW, stop) == [OK, SKIPPED, SKIPPED, SKIPPED, OK]
    assert storage.files == {}
    untouched = Faulty()
    assert await outcome(untouched, ledger, ROW, stop) == [SKIPPED] * 5
    assert untouched.done == []


@pytest.mark.parametrize(
    ("row", "states"),
    [
        (Row("A", "root", "root://a/", skipped="off"), [SKIPPED] * 5),
        (Row("A", missing="is not an RSE of this lake"), [FAILED] * 5),
        (Row("A", "root", "root://a/", PLACE, unread="off"), [OK, OK, OK, SKIPPED, OK]),
    ],
)
async def test_what_is_left_out_is_not_tried(ledger: Ledger, row: Row, states: list[State]) -> None:
    """And says why."""
    storage = Faulty()
    assert await outcome(storage, ledger, row) == states
    assert "get" not in storage.done
