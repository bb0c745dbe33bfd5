"""The steps that a probe takes at a storage: each sees its own fault, and says so in a word."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from fdr.errors import LakeError, Refused
from fdr.payload import MEMORY_FILE_BYTES, Payload
from fdr.storage.steps import GfalSteps
from tests.xrootd_fixtures import Site, free_ports, silent_server, sites

__all__ = ["sites"]

PAYLOAD = Payload("probe", 3_000_017)
SCHEMES = pytest.mark.parametrize("scheme", ["root", "davs"])


@pytest_asyncio.fixture
async def storage(sites: tuple[Site, Site]) -> AsyncIterator[GfalSteps]:
    made = GfalSteps(
        threads=4,
        x509_cert_dir=sites[0].certificates.ca_dir,
        bearer_token="fdr",
        timeout_s=10,
        loopback_only=True,
    )
    yield made
    await made.close()


@SCHEMES
async def test_a_file_goes_there_and_back_and_away(
    sites: tuple[Site, Site], storage: GfalSteps, scheme: str
) -> None:
    """Put, stat, checksum, get, delete; then its directory, and nothing is left on the disk."""
    site = sites[0]
    directory = site.url(scheme, f"steps-{scheme}")
    url = f"{directory}/put"
    await storage.put_only(PAYLOAD, url)
    on_disk = site.files / f"steps-{scheme}" / "put"
    assert on_disk.stat().st_size == await storage.size(url) == PAYLOAD.size_bytes
    assert await storage.adler32(url) == PAYLOAD.adler32()
    await storage.compare(PAYLOAD, url)
    assert await storage.delete([url]) == {}
    with pytest.raises(Refused) as gone:
        await storage.size(url)
    assert gone.value.reason == "not-found"
    await storage.remove_directory(directory)
    await storage.remove_directory(directory)
    assert not on_disk.parent.exists()


@SCHEMES
async def test_a_large_file_is_put_and_compared(
    sites: tuple[Site, Site], storage: GfalSteps, scheme: str
) -> None:
    """One that is not held in memory."""
    large, url = Payload("large", MEMORY_FILE_BYTES + 1), sites[0].url(scheme, f"large-{scheme}/put")
    await storage.put_only(large, url)
    await storage.compare(large, url)
    assert await storage.delete([url]) == {}


@SCHEMES
async def test_other_bytes_are_seen(sites: tuple[Site, Site], storage: GfalSteps, scheme: str) -> None:
    """One that differs, one that is missing, one too many; and where."""
    site = sites[0]
    path = site.files / f"other-{scheme}"
    path.mkdir(parents=True, exist_ok=True)
    good = b"".join(PAYLOAD.chunks())
    altered = bytearray(good)
    altered[2_000_000] ^= 1
    for name, content, said in (
        ("altered", bytes(altered), "from byte 2000000 on"),
        ("short", good[:-1], "from byte 3000016 on"),
        ("long", good + b"x", "more than 3000017 bytes"),
    ):
        (path / name).write_bytes(content)
        with pytest.raises(Refused, match=said) as refused:
            await storage.compare(PAYLOAD, site.url(scheme, f"other-{scheme}/{name}"))
        assert refused.value.reason == "content"


@SCHEMES
async def test_a_directory_that_holds_something_stays(
    sites: tuple[Site, Site], storage: GfalSteps, scheme: str
) -> None:
    """On these storages, so that a file that was not deleted is not lost from sight."""
    site = sites[0]
    kept = site.files / f"full-{scheme}"
    kept.mkdir(parents=True)
    (kept / "file").write_text("x")
    with pytest.raises(LakeError):
        await storage.remove_directory(site.url(scheme, kept.name))
    assert (kept / "file").exists()


@pytest.mark.parametrize("step", ["put_only", "size", "adler32", "compare", "remove_directory"])
async def test_nobody_there_is_said_by_every_step(storage: GfalSteps, step: str) -> None:
    """A put that cannot have begun is Refused, so that nothing need be taken away."""
    url = f"root://127.0.0.1:{free_ports(1)[0]}//rucio/nobody/put"
    arguments = (PAYLOAD, url) if step in {"put_only", "compare"} else (url,)
    with pytest.raises(LakeError) as failed:
        await getattr(storage, step)(*arguments)
    assert failed.value.reason == "connection-refused"
    if step == "put_only":
        assert isinstance(failed.value, Refused)


async def test_a_storage_that_never_answers_costs_its_time_only(sites: tuple[Site, Site]) -> None:
    """The step ends within the time of the storage."""
    storage = GfalSteps(threads=2, timeout_s=1, loopback_only=True)
    with silent_server() as port:
        with pytest.raises(LakeError) as failed:
            await storage.size(f"root://127.0.0.1:{port}//rucio/silent")
        assert failed.value.reason == "timeout"
    await storage.close()
