"""End a run when a sentence of ``limits.abort_when`` holds, as one more reader of its journal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fdr.abort_when import parse_abort_when
from fdr.journal.reader import FROM_THE_START, read_journal
from fdr.recent import Recent

if TYPE_CHECKING:
    from pathlib import Path

    from fdr.clock import Clock
    from fdr.model import Scenario
    from fdr.stop import Stop

EVERY_S = 1.0  # between two looks at the last minutes


async def abort_when_due(scenario: Scenario, journal: Path, clock: Clock, stop: Stop) -> None:
    """Ask for an orderly end as soon as a sentence of the scenario's limits holds.

    Returns when it has, when the run ends for another reason, or at once where there is no such sentence.
    """
    if not scenario.limits.abort_when:
        return
    recent = Recent(parse_abort_when(text, scenario.experiments) for text in scenario.limits.abort_when)
    cursor = FROM_THE_START
    with read_journal(journal) as reader:
        while not stop.wanted:
            events, cursor = reader.events_since(cursor)
            for event in events:
                recent.take(event)
            if events:
                await asyncio.sleep(0)  # there may be more, and others want to go on
                continue
            if broken := recent.broken(clock.now()):
                stop.because("limit", f"limits.abort_when: {broken}")
            await stop.wait_for(EVERY_S)
