"""The display counts as the report does, and is but a reader of the journal."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from fdr import live
from fdr.fold import fold
from fdr.journal.writer import Journal
from fdr.model import Did, Ending, Intention, Kind, Note, Outcome, Resumed
from fdr.tally import Tally
from tests.made_up_run import BEGIN, EXPERIMENTS, MadeUpRun, make_up

runs = st.builds(make_up, st.integers(0, 10**6), st.just(60), st.just(10), st.floats(0, 1))


@settings(max_examples=40, deadline=None)
@given(run=runs, share=st.floats(0, 1), step=st.integers(1, 50))
def test_the_display_counts_as_the_report_does(run: MadeUpRun, share: float, step: int) -> None:
    """At any moment, and in whatever portions they came, the counts are those of the fold."""
    events = run.events[: int(len(run.events) * share)]
    tally = Tally(run.planned)
    for begin in range(0, len(events), step):
        tally.take(events[begin : begin + step])
    metrics = fold(run.started, run.planned, events)
    for name in EXPERIMENTS:
        shown, counted = tally.experiments[name], metrics.experiments[name]
        assert shown.ok == counted.files.ok
        assert shown.failed == counted.files.failed
        assert shown.dropped == counted.files.dropped
        assert shown.unknown + shown.in_flight == counted.files.unknown
        assert shown.bytes_ok == counted.files.bytes_ok
        assert (shown.rules_added, shown.rules_ok) == (counted.rules.added, counted.rules.ok)
        assert (shown.planned, shown.planned_rules) == (counted.planned.files, counted.planned.rules)


def test_what_went_well_is_forgotten() -> None:
    """A day of good files leaves nothing in memory: only what is not OK yet is remembered."""
    run = make_up(files=300, trouble=0)
    tally = Tally(run.planned)
    tally.take(run.events)
    assert tally.total.ok == 300
    assert tally._uploads == {}


def test_a_second_attempt_makes_a_failed_file_good() -> None:
    """A file that failed and then succeeded is counted once, as good."""
    tally = Tally(make_up().planned)
    tally.take([Intention(1, Kind.UPLOAD, "CTA", 0, Did("cta", "f"), "A", 5, BEGIN)])
    tally.take([Outcome(1, "put", BEGIN + 2, BEGIN + 3, Ending.FAILED, "timeout")])
    assert (tally.total.failed, tally.total.in_flight) == (1, 0)
    tally.take(
        [Outcome(1, "put", BEGIN + 4, BEGIN + 5, Ending.OK), Outcome(1, "register", BEGIN, BEGIN, Ending.OK)]
    )
    assert (tally.total.failed, tally.total.in_flight, tally.total.ok) == (0, 0, 1)
    assert tally.lateness_s == 2


async def showing(run: MadeUpRun, path: Path, *, is_terminal: bool) -> str:
    """Show a run while it is written in two halves; return what was printed."""
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=is_terminal, color_system=None)
    over = asyncio.Event()
    journal = Journal.create(path, dataclasses.replace(run.started, started_at=time.time()))
    task = asyncio.create_task(live.show(path, run.planned, console, over))
    half = len(run.events) // 2
    journal.record(*run.events[:half])
    await journal.flush()
    async with asyncio.timeout(20):
        while "transfers" not in out.getvalue():
            await asyncio.sleep(0.02)
    journal.record(*run.events[half:])
    await journal.close()
    over.set()
    async with asyncio.timeout(20):
        await task
    return out.getvalue()


async def test_without_a_terminal_there_are_plain_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a log every line is whole, without control characters, and the last has the final counts."""
    monkeypatch.setattr(live, "REFRESH_S", 0.01)
    run = make_up(trouble=0)
    text = await showing(run, tmp_path / "journal.sqlite", is_terminal=False)
    assert "\x1b" not in text
    assert "\r" not in text
    lines = text.splitlines()
    assert 2 <= len(lines) <= 5
    assert " injecting: " in lines[0]
    assert f" ended: files {run.files['CTA', 'ok'] * 3}/120 ok" in lines[-1]


async def test_a_line_tells_when_the_run_does_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That injection is over stands in the log at once, not when the next line is due."""
    monkeypatch.setattr(live, "REFRESH_S", 0.01)
    monkeypatch.setattr(live, "LINE_EVERY_S", 3600.0)
    run = make_up()
    path = tmp_path / "journal.sqlite"
    out = io.StringIO()
    over = asyncio.Event()
    journal = Journal.create(path, run.started)
    task = asyncio.create_task(live.show(path, run.planned, Console(file=out, width=80), over))
    for kind, phase in (("", "injecting"), ("injected", "following rules"), ("grace-over", "ending")):
        journal.record(Note(BEGIN, kind))
        async with asyncio.timeout(20):
            while f" {phase}: " not in out.getvalue():
                await asyncio.sleep(0.02)
    over.set()
    await task
    await journal.close()
    assert out.getvalue().count("\n") == 4


async def test_on_a_terminal_every_experiment_has_its_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last picture shows each experiment with its counts, within 80 columns."""
    monkeypatch.setattr(live, "REFRESH_S", 0.01)
    run = make_up(seed=4, trouble=0.3)
    text = await showing(run, tmp_path / "journal.sqlite", is_terminal=True)
    last = text.split("files ok")[-1]
    for name in EXPERIMENTS:
        assert f"{name} " in last
        assert f"{run.files[name, 'ok']}/40" in last
    assert " ended, " in last


async def test_a_finished_run_is_shown_once(tmp_path: Path) -> None:
    """Watching a run that is over shows how it ended and comes back by itself."""
    run = make_up(trouble=0)
    path = tmp_path / "journal.sqlite"
    journal = Journal.create(path, run.started)
    journal.record(*run.events)
    await journal.close()
    out = io.StringIO()
    async with asyncio.timeout(20):
        await live.show(path, run.planned, Console(file=out, width=80), asyncio.Event())
    assert out.getvalue().count("\n") == 1
    assert " ended: files 120/120 ok" in out.getvalue()


@pytest.mark.parametrize(
    ("kind", "phase"),
    [
        ("injected", "following rules"),
        ("interrupted", "stopping"),
        ("limit", "stopping"),
        ("interrupted injected", "stopping"),
        ("interrupted injected cancelling", "cancelling"),
        ("ended", "ended"),
    ],
)
def test_the_phase_is_told(kind: str, phase: str) -> None:
    """What the run does now follows from the notes it writes."""
    tally = Tally(make_up().planned)
    assert tally.phase == "injecting"
    tally.take([Note(BEGIN, each) for each in kind.split()])
    assert tally.phase == phase


async def test_a_resumed_run_is_shown_until_it_ends_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it ended before, by Ctrl-C, is past: it is shown to its end, not for a moment."""
    monkeypatch.setattr(live, "REFRESH_S", 0.01)
    run = make_up()
    path = tmp_path / "journal.sqlite"
    out = io.StringIO()
    journal = Journal.create(path, run.started)
    journal.record(Note(BEGIN + 5, "interrupted"), Note(BEGIN + 5, "injected"), Note(BEGIN + 6, "ended"))
    journal.record(Resumed(BEGIN + 7, BEGIN + 6))
    await journal.flush()
    task = asyncio.create_task(live.show(path, run.planned, Console(file=out, width=80), asyncio.Event()))
    async with asyncio.timeout(20):
        for kind, phase in (("", "injecting"), ("injected", "following rules"), ("ended", "ended")):
            journal.record(Note(BEGIN + 8, kind))
            while f" {phase}: " not in out.getvalue():
                assert not task.done(), out.getvalue()
                await asyncio.sleep(0.01)
        await task
    await journal.close()
