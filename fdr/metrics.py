"""The numbers of a run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fdr.model import Audited, Note, RunStarted
from fdr.percentiles import Slice, Summary, ordered_seconds, summarize

PHASES = (
    "upload.lateness",  # actual start minus due
    "upload.put",  # bytes to storage, service time
    "upload.register",  # waiting for its group and the call that registers it
    "upload.total",  # from due to registered
    "rule.add",  # the call that adds the rule
    "rule.time_to_ok",  # from adding to OK with all the locks it came to have
    "transfer.queued",  # created to submitted: Rucio
    "transfer.waiting",  # submitted to started: FTS
    "transfer.copy",  # started to transferred: the storages and the network
    "transfer.total",  # created to transferred
)

# The notes that say how a session ended; a run that is resumed ends anew.
ENDING_NOTES = frozenset({"interrupted", "limit", "cancelled", "grace-over", "ended"})


@dataclass(frozen=True, slots=True)
class PlannedExperiment:
    """What the plan holds for one experiment; ``files_at`` says how many files go to each RSE."""

    files: int
    bytes: int
    datasets: int
    rules: int
    files_at: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Planned:
    """What the plan holds, per experiment."""

    experiments: Mapping[str, PlannedExperiment]


@dataclass(frozen=True, slots=True)
class UploadCounts:
    """How uploads ended; a file is in one of ok, put_failed, register_failed, unknown and dropped.

    ``intended`` is their sum. ``registered`` counts files of which Rucio said that it has them.
    """

    intended: int = 0
    ok: int = 0
    put_failed: int = 0
    register_failed: int = 0
    unknown: int = 0
    dropped: int = 0
    registered: int = 0
    bytes_ok: int = 0

    @property
    def failed(self) -> int:
        """Files of which one step certainly failed."""
        return self.put_failed + self.register_failed

    def __add__(self, other: UploadCounts) -> UploadCounts:
        """Return the sums."""
        return UploadCounts(
            *(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__)
        )


@dataclass(frozen=True, slots=True)
class RuleCounts:
    """How rules stand; added is the sum of ok, replicating, stuck and cancelled.

    ``replicating`` includes rules waiting for the injector and rules never seen after they were added;
    ``stuck`` includes suspended rules and rules that wait for approval: they go on only if somebody acts.
    ``cancelled`` are those that fdr itself ended before they were OK.
    """

    added: int = 0
    ok: int = 0
    replicating: int = 0
    stuck: int = 0
    failed: int = 0
    unknown: int = 0
    dropped: int = 0
    cancelled: int = 0


@dataclass(frozen=True, slots=True)
class ExperimentMetrics:
    """What became of one experiment's plan."""

    planned: PlannedExperiment
    files: UploadCounts
    datasets_created: int
    datasets_closed: int
    rules: RuleCounts

    @property
    def files_not_reached(self) -> int:
        """Files that the plan holds and that the run ended before."""
        return max(0, self.planned.files - self.files.intended)


@dataclass(frozen=True, slots=True)
class Link:
    """The transfers from one RSE to another; bytes are those of transfers that were done.

    ``bytes_per_second`` is the bytes over the time during which at least one transfer was being copied
    (the union of started to transferred); None when no time was told, or less than a second in all.
    """

    src: str
    dst: str
    done: int
    failed: int
    bytes: int
    bytes_per_second: float | None


@dataclass(frozen=True, slots=True)
class ServiceUse:
    """What one service used: cores and bytes, mean and peak over its samples; restarts in the run."""

    service: str
    cpu_mean: float
    cpu_peak: float
    memory_mean: float
    memory_peak: int
    restarts: int


@dataclass(frozen=True, slots=True)
class Failure:
    """One way of going wrong: what was done, the countable reason, how often and when (Unix seconds).

    ``action`` is that of the example, None for a transfer.
    """

    operation: str
    ending: str
    reason: str
    count: int
    first: float
    last: float
    example: str
    action: int | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """Files due and files registered per bucket of ``width_s``, the first beginning at ``begin``."""

    begin: float
    width_s: float
    due: Mapping[str, tuple[int, ...]]
    registered: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Generator:
    """What fdr itself used: CPU seconds, peak memory in bytes, requests to Rucio; None if not measured."""

    cpu_seconds: float | None = None
    memory_peak: int | None = None
    requests: int | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """One process that worked on the run (Unix seconds); ``ended`` is False if it died or goes on."""

    begun_at: float
    last_at: float
    ended: bool


@dataclass(frozen=True, slots=True)
class Metrics:
    """All that a report and the objectives know of a run.

    ``ended_at`` is None when the journal stops before the run did; ``last_at`` is the last moment it tells.
    A run that was resumed has several ``sessions``, in order; how it ended is how the last one did.
    ``audit`` is the last audit of what the run came to, None where it was not audited since it last went on.
    """

    started: RunStarted
    planned: Planned
    sessions: tuple[Session, ...]
    ended_at: float | None
    last_at: float
    notes: tuple[Note, ...]
    experiments: Mapping[str, ExperimentMetrics]
    uploads: Mapping[tuple[str, str], UploadCounts]  # by experiment and RSE
    links: tuple[Link, ...]
    slices: tuple[Slice, ...]
    services: tuple[ServiceUse, ...]
    rse_used_peak: Mapping[str, int]
    failures: tuple[Failure, ...]
    timeline: Timeline
    generator: Generator
    audit: Audited | None = None

    def noted(self, kind: str) -> tuple[Note, ...]:
        """Return the notes of one kind; of those that say how the run ended, the last session's."""
        since = self.sessions[-1].begun_at if kind in ENDING_NOTES else 0.0
        return tuple(note for note in self.notes if note.kind == kind and note.at >= since)

    @property
    def is_complete(self) -> bool:
        """Whether the run ended by itself: it was not killed, interrupted or stopped by a limit."""
        return self.ended_at is not None and not self.noted("interrupted") and not self.noted("limit")

    def summary(self, phase: str, labels: Iterable[tuple[str, str]] = ()) -> Summary:
        """Return the percentiles of a phase, over all or over what carries the labels."""
        return summarize(ordered_seconds(self.slices, phase, labels))
