"""Show a run while it goes on, as one more reader of its journal."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fdr.clock import SteadyClock
from fdr.journal.reader import FROM_THE_START, read_journal
from fdr.tally import Progress, Tally
from fdr.units import format_duration, format_size

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from fdr.journal.reader import JournalReader
    from fdr.metrics import Planned

REFRESH_S = 0.5
LINE_EVERY_S = 10.0
BAR_WIDTH = 14
ENDED = "ended"


async def show(journal_path: Path, planned: Planned, console: Console, until: asyncio.Event) -> None:
    """Show a run until ``until`` is set or its journal says that it ended.

    A bar per experiment on a terminal; elsewhere a line every ``LINE_EVERY_S`` and when what the run does
    changes. Raises UsageError if the journal cannot be read.
    """
    with read_journal(journal_path) as reader:
        following = _Following(reader, Tally(planned))
        if console.is_terminal:
            await _show_bars(following, console, until)
        else:
            await _show_lines(following, console, until)


class _Following:
    """A tally that is brought up to what the journal holds."""

    def __init__(self, reader: JournalReader, tally: Tally) -> None:
        self.tally = tally
        self._reader = reader
        self._clock = SteadyClock()
        self._cursor = FROM_THE_START

    @property
    def elapsed_s(self) -> float:
        """How long ago the run started."""
        return self._clock.now() - self._reader.started.started_at

    async def catch_up(self) -> None:
        while True:
            events, self._cursor = await asyncio.to_thread(self._reader.events_since, self._cursor)
            if not events:
                return
            self.tally.take(events)


async def _show_bars(following: _Following, console: Console, until: asyncio.Event) -> None:
    with Live(console=console, auto_refresh=False) as display:
        is_last = False
        while not is_last:
            is_last = await _is_over(until, REFRESH_S, following)
            display.update(bars(following.tally, following.elapsed_s), refresh=True)


async def _show_lines(following: _Following, console: Console, until: asyncio.Event) -> None:
    told_phase, told_at = "", 0.0
    is_last = False
    while not is_last:
        is_last = await _is_over(until, REFRESH_S, following)
        now = time.monotonic()
        if is_last or following.tally.phase != told_phase or now - told_at >= LINE_EVERY_S:
            text = line(following.tally, following.elapsed_s)
            console.print(Text(text), soft_wrap=True)
            told_phase, told_at = following.tally.phase, now


async def _is_over(until: asyncio.Event, wait_s: float, following: _Following) -> bool:
    """Wait a little, catch up, and say whether there will be nothing more to show."""
    try:
        await asyncio.wait_for(until.wait(), wait_s)
    except TimeoutError:
        await following.catch_up()
        return following.tally.phase == ENDED
    await following.catch_up()
    return True


def line(tally: Tally, elapsed_s: float) -> str:
    """Return the whole run in one line."""
    total = tally.total
    return (
        f"{format_duration(max(0, round(elapsed_s)))} {tally.phase}:"
        f" files {total.ok}/{total.planned} ok, {total.in_flight} in flight, {total.failed} failed,"
        f" {total.unknown} unknown, {total.dropped} dropped; {format_size(total.bytes_ok)};"
        f" rules {total.rules_ok}/{total.planned_rules} ok;"
        f" {_transfers(tally)}; {_lateness(tally)}"
    )


def bars(tally: Tally, elapsed_s: float) -> Group:
    """Return a bar and counts per experiment, and a line about the rest."""
    table = Table.grid(padding=(0, 1))
    table.add_column(overflow="ellipsis", no_wrap=True, max_width=14)
    table.add_column(width=BAR_WIDTH)
    for _ in range(6):
        table.add_column(justify="right", no_wrap=True)
    heads = ("files ok", "failed", "unknown", "dropped", "volume", "rules ok")
    table.add_row("", "", *(Text(head, style="dim") for head in heads))
    for name, progress in tally.experiments.items():
        table.add_row(Text(name), _bar(progress), *_counts(progress))
    foot = Text(
        f"{format_duration(max(0, round(elapsed_s)))} {tally.phase}, {tally.total.in_flight} files in flight;"
        f" {_transfers(tally)}; {_lateness(tally)}"
    )
    return Group(table, foot)


def _bar(progress: Progress) -> ProgressBar:
    settled = progress.ok + progress.failed + progress.unknown + progress.dropped
    return ProgressBar(
        total=max(1, progress.planned), completed=settled, width=BAR_WIDTH, complete_style="cyan"
    )


def _counts(progress: Progress) -> tuple[Text, ...]:
    return (
        Text(f"{progress.ok}/{progress.planned}"),
        Text(str(progress.failed), style="bold red" if progress.failed else "dim"),
        Text(str(progress.unknown), style="bold yellow" if progress.unknown else "dim"),
        Text(str(progress.dropped), style="bold yellow" if progress.dropped else "dim"),
        Text(format_size(progress.bytes_ok)),
        Text(f"{progress.rules_ok}/{progress.planned_rules}"),
    )


def _transfers(tally: Tally) -> str:
    return f"transfers {tally.transfers_done} done, {tally.transfers_failed} failed"


def _lateness(tally: Tally) -> str:
    late = tally.lateness_s
    return "nothing started yet" if late is None else f"late by {format_duration(max(0.0, late))} at most"
