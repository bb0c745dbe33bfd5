"""Of the runs in a directory noise takes away its own alone."""

from __future__ import annotations

from pathlib import Path

from fdr.journal.writer import Journal
from fdr.model import CLEANED, Note, RunStarted
from fdr.noise.kept import MARK, mark, noise_runs, prune, unclean_runs
from fdr.noise.tell import SCHEMA
from fdr.rundir import RunDir

STARTED = RunStarted("run", "noise", 1, "", 1.0, 1.0, 0.0, "0", "0", "fake", "")


def a_run(root: Path, day: int, *, is_noise: bool = True) -> RunDir:
    directory = RunDir(root / f"202611{day:02d}T000000-aaaa")
    directory.path.mkdir(parents=True)
    directory.html.touch()
    if is_noise:
        mark(directory, {"schema": SCHEMA})
    return directory


async def with_journal(directory: RunDir, *notes: str) -> RunDir:
    journal = Journal.create(directory.journal, STARTED)
    for kind in notes:
        journal.record(Note(1.0, kind))
    await journal.close()
    return directory


def test_the_oldest_runs_of_noise_go(tmp_path: Path) -> None:
    """So many stay; another pass with fewer takes more."""
    runs = [a_run(tmp_path, day) for day in (3, 1, 2, 4)]
    by_age = sorted(runs, key=lambda run: run.path)
    assert prune(tmp_path, 4) == []
    assert prune(tmp_path, 3) == by_age[:1]
    assert prune(tmp_path, 1) == by_age[1:3]
    assert list(tmp_path.iterdir()) == [by_age[3].path]


def test_nothing_else_goes(tmp_path: Path) -> None:
    """Rehearsals, strange files, links and what only looks like a run of noise stay."""
    rehearsal = a_run(tmp_path, 1, is_noise=False)
    forged = a_run(tmp_path, 2, is_noise=False)
    (forged.path / MARK).write_text('{"schema": "something/1"}')
    torn = a_run(tmp_path, 3, is_noise=False)
    (torn.path / MARK).write_text("{")
    named = RunDir(tmp_path / "my-noise")
    named.path.mkdir()
    mark(named, {"schema": SCHEMA})
    elsewhere = a_run(tmp_path / "elsewhere", 4)
    link = tmp_path / "20261104T000000-bbbb"
    link.symlink_to(elsewhere.path)
    noise = a_run(tmp_path, 5), a_run(tmp_path, 6)
    assert noise_runs(tmp_path) == list(noise)
    assert prune(tmp_path, 1) == [noise[0]]
    for path in (rehearsal.path, forged.path, torn.path, named.path, elsewhere.path, link, noise[1].path):
        assert path.exists()


def test_a_run_that_is_alive_stays(tmp_path: Path) -> None:
    """Somebody may be resuming it."""
    old, new = a_run(tmp_path, 1), a_run(tmp_path, 2)
    with old.held():
        assert prune(tmp_path, 1) == []
    assert prune(tmp_path, 1) == [old]
    assert new.path.exists()


async def test_runs_that_may_have_left_something_are_found(tmp_path: Path) -> None:
    """The latest first; neither what was cleaned, nor what never began, nor what is alive."""
    left = [await with_journal(a_run(tmp_path, day), "ended") for day in (1, 2)]
    await with_journal(a_run(tmp_path, 3), "ended", CLEANED)
    a_run(tmp_path, 4)
    await with_journal(a_run(tmp_path, 5, is_noise=False), "ended")
    torn = a_run(tmp_path, 6)
    torn.journal.write_text("nothing")
    alive = await with_journal(a_run(tmp_path, 7))
    with alive.held():
        assert unclean_runs(tmp_path) == left[::-1]
