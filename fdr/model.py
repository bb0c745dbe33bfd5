"""The values that the modules of fdr share. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Did:
    """A Rucio data identifier, written scope:name."""

    scope: str
    name: str

    def __str__(self) -> str:
        """Return scope:name."""
        return f"{self.scope}:{self.name}"


# --- what a scenario says -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rse:
    """An RSE as the scenario describes it; quota and watermark in bytes, None where it says nothing.

    ``watermark_bytes`` is the free space below which the reaper deletes expired replicas (Rucio's
    MinFreeSpace). ``attributes`` are RSE attributes, ``QOS`` among them when ``qos`` is set.
    ``protocols`` are the schemes the embedded lake offers, the first preferred.
    """

    name: str
    quota_bytes: int | None
    watermark_bytes: int | None
    qos: str | None
    attributes: Mapping[str, str]
    protocols: tuple[str, ...] = ("root", "davs")


@dataclass(frozen=True, slots=True)
class FixedSize:
    """Every file has this many bytes."""

    bytes: int


@dataclass(frozen=True, slots=True)
class UniformSize:
    """Bytes drawn evenly from minimum to maximum, both included."""

    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class LognormalSize:
    """Bytes whose logarithm is normal; draws are clipped to minimum and maximum."""

    median: int
    sigma: float
    minimum: int
    maximum: int | None


@dataclass(frozen=True, slots=True)
class BucketSize:
    """One of several sizes, each with its weight; weights are positive and need not sum to one."""

    bytes: tuple[int, ...]
    weights: tuple[float, ...]


Size = FixedSize | UniformSize | LognormalSize | BucketSize


class Arrivals(StrEnum):
    """How due times spread over a run."""

    CONSTANT = "constant"
    POISSON = "poisson"


@dataclass(frozen=True, slots=True)
class Inject:
    """What an experiment injects: so many files, in datasets of so many.

    ``to`` is an RSE expression; each dataset goes to one of the scenario's RSEs it matches.
    ``name`` is a template with {experiment}, {run}, {date}, {dataset} and {file}.
    """

    files: int
    size: Size
    files_per_dataset: int
    to: str
    arrivals: Arrivals
    name: str


class When(StrEnum):
    """When a rule is added to a dataset."""

    AT_CREATION = "at-creation"
    DATASET_CLOSED = "dataset-closed"


@dataclass(frozen=True, slots=True)
class Rule:
    """A replication rule that every dataset of an experiment gets."""

    to: str
    copies: int
    lifetime_s: int
    activity: str
    when: When


@dataclass(frozen=True, slots=True)
class Experiment:
    """Who acts: a Rucio account with a scope, what it injects, and its rules.

    ``activity`` is that of the rule which keeps its uploads where they are put; ``rules`` have their own.
    ``quota`` holds the account's limit in bytes per RSE; an RSE not named is unlimited. ``metadata`` is
    what its datasets and files get in Rucio.
    """

    name: str
    account: str
    scope: str
    inject: Inject
    activity: str
    rules: tuple[Rule, ...]
    quota: Mapping[str, int]
    dataset_lifetime_s: int
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """The impact budget of a run: None means no limit. ``abort_when`` are sentences that end it."""

    files: int | None = None
    volume_bytes: int | None = None
    requests_per_second: float | None = None
    abort_when: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole scenario, valid, with the command line's changes applied.

    ``duration_s`` is the scenario's own time; divided by ``speed`` it is the wall clock's.
    ``scale`` and ``size_scale`` have already been applied to the experiments.
    """

    name: str
    description: str
    duration_s: float
    seed: int
    scale: float
    size_scale: float
    speed: float
    grace_s: float
    rses: Mapping[str, Rse]
    experiments: Mapping[str, Experiment]
    objectives: tuple[str, ...]
    limits: Limits


# --- what a plan says -----------------------------------------------------------------------------


class Kind(StrEnum):
    """The kinds of action; each has its file in ``fdr/actions``."""

    DATASET = "dataset"  # create a dataset
    UPLOAD = "upload"  # put one file, register it, attach it to its dataset
    CLOSE = "close"  # close a dataset whose uploads have all ended
    RULE = "rule"  # add one rule to a dataset


@dataclass(frozen=True, slots=True)
class Action:
    """One planned deed. ``id`` is unique in the plan and the same in every shard and repetition.

    ``due_s`` counts wall-clock seconds from the start of the run (speed already applied).
    ``dataset`` counts an experiment's datasets from 0, ``file`` an experiment's files from 0 (uploads
    only), ``rule`` indexes the experiment's rules (rules only). ``rse`` is where the
    dataset is uploaded to (datasets and uploads only), ``size_bytes`` is set for uploads only.
    """

    id: int
    kind: Kind
    due_s: float
    experiment: str
    dataset: int
    file: int | None = None
    rule: int | None = None
    rse: str | None = None
    size_bytes: int = 0


# --- what a journal says --------------------------------------------------------------------------


SETTLED = "settled"  # the reason of an outcome that was found out later: its times are not the deed's


class Ending(StrEnum):
    """How a deed ended."""

    OK = "ok"
    FAILED = "failed"  # certainly did not happen
    UNKNOWN = "unknown"  # may have happened
    DROPPED = "dropped"  # never started


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The head of a journal: what the run is. Times are Unix seconds.

    ``lake`` names the lake for people, ``lake_config`` is the path of the rucio.cfg that it was reached by.
    """

    run: str
    scenario: str
    seed: int
    plan_digest: str
    scale: float
    speed: float
    started_at: float
    fdr_version: str
    rucio_version: str
    lake: str
    copy_mode: str  # how the lake's FTS copies, where it is known: "third-party", "streamed" or ""
    size_scale: float = 1.0
    lake_config: str = ""


@dataclass(frozen=True, slots=True)
class Intention:
    """A deed that is about to be begun; on disk before it is."""

    action: int
    kind: Kind
    experiment: str
    dataset: int
    did: Did  # the file's, or the dataset's
    rse: str  # where a dataset or a file is uploaded to, a rule's expression, or ""
    size_bytes: int
    due_at: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one step of an intended deed ended.

    Steps: ``create`` (dataset), ``put`` and ``register`` (upload), ``close``, ``rule``, ``cancel`` (of a
    rule that was added). ``detail`` is the rule id of a rule, the adler32 of a put.
    """

    action: int
    step: str
    begun_at: float
    ended_at: float
    ending: Ending
    reason: str = ""
    message: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class RuleSeen:
    """A rule's state when it changed, as Rucio told it; locks are counts."""

    at: float
    rule_id: str
    state: str
    locks_ok: int
    locks_replicating: int
    locks_stuck: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class TransferSeen:
    """A transfer event of Rucio that ended a request; times are Unix seconds, None where not told."""

    at: float
    done: bool
    request_id: str
    did: Did
    src_rse: str
    dst_rse: str
    size_bytes: int
    activity: str
    protocol: str
    created_at: float | None
    submitted_at: float | None
    started_at: float | None
    transferred_at: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ServiceSample:
    """What a service used: CPU in cores since the last sample, memory in bytes, restarts in the run."""

    at: float
    service: str
    cpu: float
    memory_bytes: int
    restarts: int


@dataclass(frozen=True, slots=True)
class RseUsage:
    """What Rucio says is used at an RSE, in bytes."""

    at: float
    rse: str
    used_bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class Note:
    """A moment in the life of a run.

    Kinds: ``injected`` (nothing more will start), ``interrupted``, ``limit``, ``grace-over``,
    ``cancelling`` (rules are about to be), ``cancelled``, ``events-lost``, ``outage`` (Rucio did not answer,
    and does again), ``samples-lost``, ``settled``, ``ended``. After the run: ``cleaning`` (its removal from
    the lake began), ``deletion-asked`` (of Rucio, for all of it), ``cleaned`` (nothing of it is left).
    """

    at: float
    kind: str
    text: str = ""


CLEANING, DELETION_ASKED, CLEANED = "cleaning", "deletion-asked", "cleaned"
AFTER_THE_RUN = frozenset({CLEANING, DELETION_ASKED, CLEANED})  # kinds of notes that are not of its course


@dataclass(frozen=True, slots=True)
class Resumed:
    """A run goes on that had ended, or died: when, and the last moment that was recorded before."""

    at: float
    last_at: float


@dataclass(frozen=True, slots=True)
class GeneratorUsage:
    """What fdr itself has used since the run began: CPU seconds, peak memory in bytes, REST requests."""

    at: float
    cpu_seconds: float
    memory_peak_bytes: int
    requests: int


@dataclass(frozen=True, slots=True)
class Audited:
    """What an audit of the run came to, in counts; ``docs/audit.md`` says of what.

    ``files`` are those of the journal, ``copies`` the places at which one was looked for, ``unseen`` those
    of them that could not be looked at, ``expired`` the files, datasets and rules that are gone rightly.
    """

    at: float
    files: int
    copies: int
    lost: int
    dark: int
    wrong: int
    unrecorded: int
    unknown: int
    expired: int
    unseen: int


Event = (
    Intention
    | Outcome
    | RuleSeen
    | TransferSeen
    | ServiceSample
    | RseUsage
    | Note
    | GeneratorUsage
    | Resumed
    | Audited
)


class Verdict(StrEnum):
    """What an objective, or a whole run, comes to; the worst of many counts."""

    PASS = "pass"
    INCONCLUSIVE = "inconclusive"
    FAIL = "fail"
