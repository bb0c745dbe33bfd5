"""The queue of the FTS stand-in: who goes first, how many at once, and what outlives a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fdr.lake.fts.faults import Fault, Faults
from fdr.lake.fts.job import Ending, File, FileState, Job, Link
from fdr.lake.fts.store import Duplicate, Store
from fdr.lake.fts.submission import job_from
from fdr.lake.fts.transitions import CANCELED_BY_USER, canceled
from tests.fts_scripted import Client, ScriptedCrew, stand_in, until

NOW = "2026-01-02T03:04:05"
OK = Ending(filesize=10, duration_s=0.1, transfer_type="3rd pull")


def url(host: int, name: str) -> str:
    """Return the URL of a file at one of the lake's storages."""
    return f"root://127.0.1.{host}:1094//rucio/{name}"


def submission(name: str, count: int = 1, src: int = 1, dst: int = 2, **params: Any) -> dict[str, Any]:
    """Return a submission of ``count`` files on one link."""
    files = [
        {"sources": [url(src, f"{name}{n}")], "destinations": [url(dst, f"{name}{n}")]} for n in range(count)
    ]
    return {"files": files, "params": {"overwrite": True, **params}}


def script(*submissions: dict[str, Any]) -> ScriptedCrew:
    """Return a crew that copies every file of these submissions."""
    pairs = [
        (file["sources"][0], file["destinations"][0], True) for body in submissions for file in body["files"]
    ]
    return ScriptedCrew(dict.fromkeys(pairs, OK))


async def submit(client: Client, body: dict[str, Any]) -> str:
    """Submit and return the id."""
    answer = await client.ask("POST", "/jobs", body)
    assert answer.status == 200, answer.content
    return str(answer.content["job_id"])


async def job(client: Client, job_id: str) -> dict[str, Any]:
    """Return a job with all there is to know of its files."""
    found: dict[str, Any] = (await client.ask("GET", f"/jobs/{job_id}")).content
    found["files"] = (await client.ask("GET", f"/jobs/{job_id}/files")).content
    return found


async def reaches(client: Client, job_id: str, state: str) -> dict[str, Any]:
    """Wait until a job is in a state."""

    async def there() -> dict[str, Any] | None:
        found = await job(client, job_id)
        return found if found["job_state"] == state else None

    found: dict[str, Any] = await until(there)
    return found


async def busy(client: Client) -> dict[str, Any]:
    """Return the statistics when the queue has handed out all it may."""

    async def handed_out() -> dict[str, Any] | None:
        stats: dict[str, Any] = (await client.ask("GET", "/fdr/stats")).content
        return stats if stats["active"] else None

    stats: dict[str, Any] = await until(handed_out)
    return stats


async def test_higher_priority_goes_first_then_first_come(tmp_path: Path) -> None:
    """Of what waits, the queue takes the highest priority, and the oldest of these."""
    low, high, raised = (
        submission(name, 2, priority=p) for name, p in (("low", 1), ("high", 4), ("raised", 2))
    )
    crew = script(low, high, raised)
    async with stand_in(tmp_path, crew, workers=0) as client:
        await submit(client, low)
        await submit(client, high)
        last = await submit(client, raised)
        await client.ask("POST", f"/jobs/{last}", {"params": {"priority": 5}})
    async with stand_in(tmp_path, crew, workers=1) as client:
        await reaches(client, last, "FINISHED")
        await until(lambda: _all_copied(client, 6))
    names = [order.source.rsplit("/", 1)[1] for order in crew.orders]
    assert names == ["raised0", "raised1", "high0", "high1", "low0", "low1"]


async def _all_copied(client: Client, count: int) -> bool:
    stats = (await client.ask("GET", "/fdr/stats")).content
    return bool(stats["copied"].get("3rd pull") == count)


async def test_a_link_that_hangs_holds_up_no_other(tmp_path: Path) -> None:
    """Its own limit stops it, not the whole queue."""
    stuck, fine = submission("stuck", 10, dst=2), submission("fine", 10, dst=3)
    crew = script(fine)
    async with stand_in(tmp_path, crew, workers=8, link_active=4) as client:
        await submit(client, stuck)
        await reaches(client, await submit(client, fine), "FINISHED")
        stats = (await client.ask("GET", "/fdr/stats")).content
    link = "root://127.0.1.1 root://127.0.1.2"
    assert stats["active"] == {link: 4}
    assert stats["waiting"] == {link: 6}


@pytest.mark.parametrize(("scheme", "most"), [("root", 5), ("davs", 3)])
async def test_no_storage_gets_more_than_its_limit(tmp_path: Path, scheme: str, most: int) -> None:
    """Whatever the number of links that end at it; over http it has a limit of its own."""
    limits: dict[str, Any] = {"workers": 100, "link_active": 50, "storage_active": 5, "web_storage_active": 3}
    async with stand_in(tmp_path, ScriptedCrew({}), **limits) as client:
        for src in (1, 2, 3):
            body = submission(f"from{src}", 10, src=src, dst=9)
            for file in body["files"]:
                file["sources"], file["destinations"] = (
                    [url.replace("root:", f"{scheme}:") for url in file[side]]
                    for side in ("sources", "destinations")
                )
            await submit(client, body)
        stats = await busy(client)
    assert sum(stats["active"].values()) == most


async def test_a_link_can_be_given_a_limit_of_its_own(tmp_path: Path) -> None:
    """As with a real FTS3, at /config/links."""
    async with stand_in(tmp_path, ScriptedCrew({}), workers=100) as client:
        limit = {"source": "root://127.0.1.1", "destination": "root://127.0.1.2", "max_active": 2}
        assert (await client.ask("POST", "/config/links", limit)).status == 201
        await submit(client, submission("few", 10))
        stats = await busy(client)
    assert list(stats["active"].values()) == [2]


async def test_cancel_stops_what_runs_and_what_waits(tmp_path: Path) -> None:
    """Running files learn their finish time a little later; the slot is free again."""
    async with stand_in(tmp_path, ScriptedCrew({}), workers=1) as client:
        job_id = await submit(client, submission("stuck", 3))
        await until(lambda: _first_is(client, job_id, "ACTIVE"))
        answer = await client.ask("DELETE", f"/jobs/{job_id}")
        assert (answer.status, answer.content["job_state"]) == (200, "CANCELED")

        async def all_ended() -> Any:
            found = await job(client, job_id)
            return found if all(file["finish_time"] for file in found["files"]) else None

        found = await until(all_ended)
        assert {(file["file_state"], file["reason"]) for file in found["files"]} == {
            ("CANCELED", CANCELED_BY_USER)
        }
        assert (await client.ask("GET", "/fdr/stats")).content["active"] == {}


async def _first_is(client: Client, job_id: str, state: str) -> bool:
    return bool((await job(client, job_id))["files"][0]["file_state"] == state)


async def test_jobs_outlive_a_restart_in_the_middle_of_a_copy(tmp_path: Path) -> None:
    """What was being copied is copied again, once, and the job keeps its id."""
    body = submission("again", 3)
    async with stand_in(tmp_path, ScriptedCrew({}), workers=2) as client:
        job_id = await submit(client, body)
        await until(lambda: _first_is(client, job_id, "ACTIVE"))
    crew = script(body)
    async with stand_in(tmp_path, crew) as client:
        await reaches(client, job_id, "FINISHED")
    assert len(crew.orders) == 3


async def test_a_duplicate_id_changes_nothing(tmp_path: Path) -> None:
    """The second submission of a sid is a conflict; the first goes on."""
    body = submission("once", id_generator="deterministic", sid="once")
    async with stand_in(tmp_path, ScriptedCrew({}), workers=0) as client:
        job_id = await submit(client, body)
        assert (await client.ask("PUT", "/jobs", body)).status == 409
        found = await job(client, job_id)
    assert len(found["files"]) == 1


async def test_a_told_fault_fails_a_copy_without_making_it(tmp_path: Path) -> None:
    """With the reason told; mended links copy again."""
    body = submission("unlucky")
    crew = script(body)
    async with stand_in(tmp_path, crew, Faults(seed=1)) as client:
        told = await client.ask("PUT", "/fdr/links", {"dst": "127.0.1.2", "fail": "TRANSFER [28] Disk full"})
        assert told.status == 200
        found = await reaches(client, await submit(client, body), "FAILED")
        assert found["files"][0]["reason"] == "TRANSFER [28] Disk full"
        assert crew.orders == []
        assert (await client.ask("DELETE", "/fdr/links")).content == []
        await reaches(client, await submit(client, body), "FINISHED")


async def test_a_slow_link_takes_as_long_as_it_was_told(tmp_path: Path) -> None:
    """A delay before, and so many bytes a second at most."""
    body = submission("slow")
    faults = Faults(seed=1)
    faults.tell(Fault(delay_s=0.2, rate=50.0))
    async with stand_in(tmp_path, script(body), faults) as client:
        begun = asyncio.get_running_loop().time()
        job_id = await submit(client, body)
        await until(lambda: _first_is(client, job_id, "ACTIVE"))
        await reaches(client, job_id, "FINISHED")
        assert asyncio.get_running_loop().time() - begun >= 0.2 + OK.filesize / 50.0


async def test_a_told_hang_ends_by_the_time_out_of_a_transfer(tmp_path: Path) -> None:
    """As one that a storage causes."""
    faults = Faults(seed=1)
    faults.tell(Fault(hang=True))
    async with stand_in(tmp_path, ScriptedCrew({}), faults, transfer_timeout_s=0) as client:
        found = await reaches(client, await submit(client, submission("hung")), "FAILED")
    assert found["files"][0]["reason"].startswith("TRANSFER [110]")


async def test_a_ban_cancels_what_a_storage_has_and_refuses_more(tmp_path: Path) -> None:
    """Until it is lifted."""
    async with stand_in(tmp_path, ScriptedCrew({}), workers=0) as client:
        job_id = await submit(client, submission("banned"))
        ban = {"storage": "root://127.0.1.2", "message": "down", "status": "CANCEL"}
        assert (await client.ask("POST", "/ban/se", ban)).content == [job_id]
        assert (await job(client, job_id))["job_state"] == "CANCELED"
        assert (await client.ask("POST", "/jobs", submission("more"))).status == 403
        assert [entry["se"] for entry in (await client.ask("GET", "/ban/se")).content] == [ban["storage"]]
        assert (await client.ask("DELETE", "/ban/se?storage=root://127.0.1.2")).status == 204
        assert (await client.ask("POST", "/jobs", submission("more"))).status == 200


@pytest.mark.parametrize("path", ["/nothing", "/jobs/a/b/c/d", "/fdr/nothing"])
async def test_what_is_not_there_is_404_as_json(tmp_path: Path, path: str) -> None:
    """Whatever is asked for, the answer can be parsed."""
    async with stand_in(tmp_path, ScriptedCrew({}), workers=0) as client:
        answer = await client.ask("GET", path)
    assert (answer.status, answer.content["status"]) == (404, "404 Not Found")


def test_ended_jobs_are_forgotten_and_the_others_never(tmp_path: Path) -> None:
    """By age, and the oldest beyond a number; so neither disk nor memory grows for ever."""
    store = Store(tmp_path / "jobs.sqlite")
    ids = []
    for hour in range(5):
        new = store.add(job_from(submission(f"old{hour}"), "fdr", NOW))
        store.save(new, canceled(new, f"2026-01-02T0{hour}:00:00"))
        ids.append(new.job_id)
    waiting = store.add(job_from(submission("waiting"), "fdr", "2020-01-01T00:00:00"))
    assert store.prune(before="2026-01-02T01:30:00", keep_jobs=2) == 3
    assert [store.get(job_id) is not None for job_id in ids] == [False, False, False, True, True]
    assert store.get(waiting.job_id) == waiting
    store.close()


def test_a_store_gives_back_what_it_was_given(tmp_path: Path) -> None:
    """Also after it was closed and opened, and it knows who waits."""
    store = Store(tmp_path / "jobs.sqlite")
    kept = store.add(job_from(submission("kept", 3), "fdr", NOW))
    with pytest.raises(Duplicate):
        store.add(kept)
    store.close()
    store = Store(tmp_path / "jobs.sqlite")
    assert store.get(kept.job_id) == kept
    assert isinstance(kept, Job)
    assert all(isinstance(file, File) and file.file_state is FileState.SUBMITTED for file in kept.files)
    assert store.waiting() == {Link("root://127.0.1.1", "root://127.0.1.2"): 3}
    store.close()
