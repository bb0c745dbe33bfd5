"""What a probe came to. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from fdr.errors import ExitCode
from fdr.probe.asked import Asked
from fdr.probe.plan import Copy, Row
from fdr.probe.site import Site

STEPS = ("put", "stat", "checksum", "get", "delete")
INTERRUPTED = "interrupted before"


class State(StrEnum):
    """How a step or a transfer went."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Step:
    """How one step went; ``reason`` is a countable word, ``message`` is for people."""

    state: State
    duration_s: float | None = None
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Tried:
    """A protocol of an RSE with what became of each of STEPS."""

    row: Row
    steps: Mapping[str, Step]


@dataclass(frozen=True, slots=True)
class Copied:
    """A copy with what became of it.

    ``duration_s`` is from its submission until it was seen at its end. ``job`` is FTS's id of it,
    ``started`` and ``finished`` are FTS's own times, as it writes them, in UTC.
    """

    copy: Copy
    state: State
    duration_s: float | None = None
    reason: str = ""
    message: str = ""
    job: str = ""
    started: str = ""
    finished: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    """What could not be taken away; ``why`` says why, by URL or job id."""

    files: Mapping[str, str] = field(default_factory=dict)
    directories: Mapping[str, str] = field(default_factory=dict)
    jobs: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Tell whether there is anything."""
        return bool(self.files or self.directories or self.jobs)

    @property
    def counts(self) -> dict[str, int]:
        """How many things of each kind."""
        return {"file": len(self.files), "directory": len(self.directories), "job": len(self.jobs)}


@dataclass(frozen=True, slots=True)
class Result:
    """A probe that is over; times are Unix seconds.

    ``record`` is the path of the file that holds what is left, empty where nothing is. ``earlier`` is how
    many earlier probes left something, ``earlier_left`` what of that is still there.
    """

    probe: str
    lake: str
    asked: Asked
    sites: tuple[Site, ...]
    rows: tuple[Tried, ...]
    copies: tuple[Copied, ...]
    started_at: float
    ended_at: float
    was_interrupted: bool = False
    left: Left = Left()
    record: str = ""
    earlier: int = 0
    earlier_left: Left = Left()

    @property
    def steps(self) -> Iterator[tuple[Row, str, Step]]:
        """Every step of every row."""
        for tried in self.rows:
            for name in STEPS:
                yield tried.row, name, tried.steps[name]

    @property
    def step_counts(self) -> Counter[State]:
        """How many steps at storages went how."""
        return Counter(step.state for _, _, step in self.steps)

    @property
    def copy_counts(self) -> Counter[State]:
        """How many transfers went how."""
        return Counter(copied.state for copied in self.copies)

    @property
    def exit_code(self) -> ExitCode:
        """What a command that made this probe ends with: nothing tried is no success."""
        counts = self.step_counts + self.copy_counts
        if self.was_interrupted:
            return ExitCode.INTERRUPTED
        if counts[State.FAILED]:
            return ExitCode.OBJECTIVE_FAILED
        return ExitCode.PASSED if counts[State.OK] else ExitCode.INCONCLUSIVE
