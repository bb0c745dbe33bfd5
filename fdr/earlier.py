"""What the earlier sessions of a run have left behind, read from its journal."""

from __future__ import annotations

from dataclasses import dataclass, field

from fdr.journal.reader import JournalReader
from fdr.model import CLEANING, Audited, GeneratorUsage, Note, Outcome, Resumed, ServiceSample
from fdr.standing import Standing
from fdr.stop_request import ASKED

UNFINISHED = frozenset({"interrupted", "limit", "grace-over"})


@dataclass(slots=True)
class Earlier:
    """How far the actions have come, and what the sessions have used.

    ``last_at`` is the last moment that was recorded (Unix seconds), ``usage`` what fdr had used by then, and
    ``restarts`` those of each service. ``is_over`` says that the last session came to its own end, with
    every rule followed to its own; ``was_cut_short`` that it died or was interrupted, and that neither
    ``fdr stop`` nor a limit wanted it to end; ``was_interrupted`` that a signal or ``fdr stop`` ended it;
    ``was_audited`` that it was held against its lake since; ``was_cleaned`` that its removal has begun since.
    """

    standing: Standing = field(default_factory=Standing)
    last_at: float = 0.0
    usage: GeneratorUsage = field(default_factory=lambda: GeneratorUsage(0.0, 0.0, 0, 0))
    restarts: dict[str, int] = field(default_factory=dict)
    is_over: bool = False
    was_cut_short: bool = True
    was_interrupted: bool = False
    was_audited: bool = False
    was_cleaned: bool = False


def read_earlier(reader: JournalReader) -> Earlier:
    """Return what a journal tells of the sessions before; reads all of it, holds two bytes an action."""
    found = Earlier(last_at=reader.started.started_at)
    session_at = 0.0
    notes: dict[str, str] = {}
    for event in reader.events():
        found.standing.take(event)
        match event:
            case Outcome():
                found.last_at = max(found.last_at, event.ended_at)
            case Resumed():
                session_at, found.was_audited = event.at, False
            case Audited():
                found.was_audited = event.at >= session_at
            case Note() if event.at >= session_at:
                notes[event.kind] = event.text
            case GeneratorUsage():
                found.usage = event
            case ServiceSample():
                found.restarts[event.service] = event.restarts
        found.last_at = max(found.last_at, getattr(event, "at", 0.0))
    found.was_cleaned = CLEANING in notes
    found.is_over = "ended" in notes and not notes.keys() & UNFINISHED
    found.was_interrupted = "interrupted" in notes
    was_wanted = "limit" in notes or notes.get("interrupted", "").startswith(ASKED)
    found.was_cut_short = not was_wanted and ("ended" not in notes or found.was_interrupted)
    return found
