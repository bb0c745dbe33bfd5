"""The promises of a storage, kept by the fake and by gfal2 against real XRootD servers."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

import pytest

from fdr.errors import LakeError, Refused
from fdr.lake.xrootd import XrootdPorts
from fdr.payload import MEMORY_FILE_BYTES, Payload
from fdr.storage.base import Entry, Stat, Storage
from fdr.storage.gfal import GfalStorage
from tests.fakes.storage import FakeStorage
from tests.xrootd_fixtures import Site, silent_server, sites

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["sites"]

TIMEOUT_S = 8
DIRECTORIES = count()


@dataclass(frozen=True, slots=True)
class Place:
    """A storage and a directory of the test's own in it; how to make another one read-only or hung."""

    storage: Storage
    directory: str
    read_only: str
    hung: str

    def url(self, path: str) -> str:
        """Return the URL of a file in the directory."""
        return f"{self.directory}/{path}"


@pytest.fixture(
    params=["fake", *(pytest.param(scheme, marks=pytest.mark.lake) for scheme in ("root", "davs"))]
)
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """One place of each kind."""
    number = next(DIRECTORIES)
    if request.param == "fake":
        fake = FakeStorage()
        fake.read_only.add("root://fake//read-only")
        fake.hung.add("root://hung//")
        yield Place(fake, f"root://fake//{number}", "root://fake//read-only", "root://hung//")
        return
    site: Site = request.getfixturevalue("sites")[0]
    read_only = site.files / "read-only"
    read_only.mkdir(exist_ok=True)
    read_only.chmod(0o555)
    certificates = site.certificates.ca_dir
    storage = GfalStorage(4, certificates, "any token", timeout_s=TIMEOUT_S, loopback_only=True)
    with silent_server() as port:
        hung = replace(site, host="127.0.1.9", ports=XrootdPorts(port, port))
        url = site.url(request.param, f"contract/{number}")
        yield Place(storage, url, site.url(request.param, "read-only"), hung.url(request.param, ""))
        await storage.close()


class Mistaken(Payload):
    """A payload whose checksum is not that of its bytes."""

    def adler32(self) -> str:
        """Tell a wrong one."""
        return "00000bad"


@pytest.mark.parametrize("size_bytes", [0, 1, 1000, 3_000_000, MEMORY_FILE_BYTES + 12_345])
async def test_what_was_put_is_there_with_size_and_checksum(place: Place, size_bytes: int) -> None:
    """From empty to larger than what is held in memory."""
    payload = Payload(f"file of {size_bytes}", size_bytes)
    await place.storage.put(payload, place.url("file"))
    found = await place.storage.stat(place.url("file"), with_checksum=True)
    assert found == Stat(size_bytes, payload.adler32())


async def test_the_checksum_is_told_only_when_asked_for(place: Place) -> None:
    """It may cost the storage a lot."""
    await place.storage.put(Payload("k", 10), place.url("file"))
    assert await place.storage.stat(place.url("file")) == Stat(10)


async def test_directories_are_made_on_the_way(place: Place) -> None:
    """As deep as needed, and by many puts at once."""
    urls = [place.url(f"a/b{number % 3}/c/{number}") for number in range(12)]
    await asyncio.gather(*(place.storage.put(Payload(url, 100), url) for url in urls))
    assert [await place.storage.stat(url) for url in urls] == [Stat(100)] * 12


async def test_a_file_is_not_overwritten_unless_told_to(place: Place) -> None:
    """The second put is refused and the first file is as it was; told to, the second takes its place."""
    first, second = Payload("first", 100), Payload("second", 200)
    await place.storage.put(first, place.url("file"))
    with pytest.raises(Refused) as refused:
        await place.storage.put(second, place.url("file"))
    assert refused.value.reason == "exists"
    assert await place.storage.stat(place.url("file"), with_checksum=True) == Stat(100, first.adler32())
    await place.storage.put(second, place.url("file"), overwrite=True)
    assert await place.storage.stat(place.url("file"), with_checksum=True) == Stat(200, second.adler32())


async def test_a_large_file_is_not_overwritten_either(place: Place) -> None:
    """What is not held in memory goes another way and keeps the same promise."""
    await place.storage.put(Payload("first", 100), place.url("file"))
    with pytest.raises(Refused) as refused:
        await place.storage.put(Payload("second", MEMORY_FILE_BYTES + 1), place.url("file"))
    assert refused.value.reason == "exists"
    assert await place.storage.stat(place.url("file")) == Stat(100)


async def test_what_is_not_there_is_none(place: Place) -> None:
    """Neither an error nor a guess, below a missing directory too."""
    assert await place.storage.stat(place.url("missing")) is None
    assert await place.storage.stat(place.url("no/such/directory"), with_checksum=True) is None


@pytest.mark.parametrize("size_bytes", [1000, MEMORY_FILE_BYTES + 1])
async def test_bytes_that_arrive_wrong_are_refused_and_removed(place: Place, size_bytes: int) -> None:
    """A checksum that is not the expected one is a failure, and leaves nothing behind."""
    with pytest.raises(Refused) as refused:
        await place.storage.put(Mistaken("key", size_bytes), place.url("file"))
    assert refused.value.reason == "checksum"
    assert await place.storage.stat(place.url("file")) is None


async def test_deleted_files_are_gone_and_missing_ones_are_no_failure(place: Place) -> None:
    """Many at once; what is not named stays."""
    urls = [place.url(f"d/{number}") for number in range(5)]
    await asyncio.gather(*(place.storage.put(Payload(url, 10), url) for url in urls))
    assert await place.storage.delete([*urls[:4], place.url("d/never"), place.url("never/never")]) == {}
    assert [await place.storage.stat(url) for url in urls] == [None, None, None, None, Stat(10)]


async def test_a_directory_lists_its_files_and_directories(place: Place) -> None:
    """With the sizes of the files, one level deep."""
    await place.storage.put(Payload("k", 12), place.url("d/file"))
    await place.storage.put(Payload("k", 34), place.url("d/below/other"))
    entries = await place.storage.list(place.url("d"))
    assert {(entry.name, entry.is_directory) for entry in entries} == {("file", False), ("below", True)}
    assert Entry("file", False, 12) in entries
    with pytest.raises(Refused) as refused:
        await place.storage.list(place.url("missing"))
    assert refused.value.reason == "not-found"


async def test_where_writing_is_not_permitted_it_is_refused(place: Place) -> None:
    """With a reason that can be counted, and told by the check before a run too."""
    for attempt in (
        place.storage.put(Payload("k", 10), f"{place.read_only}/file"),
        place.storage.put(Payload("k", 10), f"{place.read_only}/new/file"),
    ):
        with pytest.raises(Refused) as refused:
            await attempt
        assert refused.value.reason == "permission"
    with pytest.raises(LakeError) as failed:
        await place.storage.check_writable(f"{place.read_only}/check")
    assert failed.value.reason == "permission"


async def test_a_check_of_writing_leaves_nothing(place: Place) -> None:
    """It can be done again at once, and what is beside it stays."""
    await place.storage.put(Payload("k", 1), place.url("beside"))
    for _ in range(2):
        await place.storage.check_writable(place.url("check"))
    assert [entry.name for entry in await place.storage.list(place.directory)] == ["beside"]


async def test_a_storage_that_never_answers_costs_only_its_own_files(place: Place) -> None:
    """Its puts end by the time-out, also those that found no thread; another storage goes on."""
    began = time.monotonic()

    async def seconds(put: Callable[[], object]) -> float:
        await place.storage.put(Payload("k", 10), place.url(f"meanwhile/{next(DIRECTORIES)}"))
        return time.monotonic() - began

    hung = [place.storage.put(Payload("k", 10), f"{place.hung}/{number}") for number in range(6)]
    waiting = asyncio.gather(*hung, return_exceptions=True)
    meanwhile = await asyncio.gather(*(seconds(print) for _ in range(8)))
    ended = await waiting
    assert max(meanwhile) < TIMEOUT_S / 2
    assert time.monotonic() - began < TIMEOUT_S + 2
    reasons = [error.reason for error in ended if isinstance(error, LakeError)]
    assert len(reasons) == len(hung)
    assert "timeout" in reasons
    assert set(reasons) <= {"timeout", "busy"}
