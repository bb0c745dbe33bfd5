"""A made-up run: seeded events as a rehearsal would journal them, and what a person would count."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from fdr.metrics import Planned, PlannedExperiment
from fdr.model import (
    Did,
    Ending,
    Event,
    GeneratorUsage,
    Intention,
    Kind,
    Note,
    Outcome,
    Rse,
    RseUsage,
    RuleSeen,
    RunStarted,
    ServiceSample,
    TransferSeen,
)

BEGIN = 1_605_780_000.0
RSES = {
    "PIC-DCACHE": Rse("PIC-DCACHE", 28 * 10**12, 2799 * 10**10, "FAST", {"QOS": "FAST"}),
    "DESY-DCACHE": Rse("DESY-DCACHE", 40 * 10**12, 4 * 10**12, "SAFE", {"QOS": "SAFE"}),
    "SARA-DCACHE": Rse("SARA-DCACHE", 98 * 10**12, 14 * 10**10, "CHEAP-ANALYSIS", {"QOS": "CHEAP-ANALYSIS"}),
}
EXPERIMENTS = ("CTA", "LSST", "SKA")
STARTED = RunStarted(
    run="20201119-0900-ab12", scenario="smoke", seed=2020, plan_digest="c0ffee" * 10 + "beef", scale=1.0,
    speed=24.0, started_at=BEGIN, fdr_version="0.1.0", rucio_version="41.5.1", lake="local",
    copy_mode="third-party",
)  # fmt: skip
SERVICES = ("postgresql", "rucio-server", "judge-evaluator", "conveyor-submitter", "xrootd-PIC-DCACHE", "fts")


class MadeUpRun:
    """The events in the order of their happening, and the counts that the story-teller kept."""

    def __init__(self, started: RunStarted, planned: Planned, events: Sequence[Event] = ()) -> None:
        """Begin with a plan and no story yet."""
        self.started = started
        self.planned = planned
        self.events: list[Event] = list(events)
        self.files: Counter[tuple[str, str]] = Counter()  # (experiment, how it ended)
        self.rules: Counter[tuple[str, str]] = Counter()
        self.transfers: Counter[str] = Counter()

    def __repr__(self) -> str:
        """Say how much there is, for a failing test to print."""
        return f"<made-up run of {len(self.events)} events>"


def make_up(
    seed: int = 1,
    files: int = 120,
    files_per_dataset: int = 20,
    trouble: float = 0.1,
    span_s: float = 60.0,
    is_ended: bool = True,
) -> MadeUpRun:
    """Tell a run of so many files in all; ``trouble`` is the share of deeds that do not go well."""
    draw = random.Random(seed)
    datasets = max(1, files // files_per_dataset)
    each = datasets * files_per_dataset // len(EXPERIMENTS)
    planned = Planned(
        {
            name: PlannedExperiment(
                files=each,
                bytes=each * 1_000_000,
                datasets=-(-each // files_per_dataset),
                rules=-(-each // files_per_dataset),
                files_at={list(RSES)[number]: each},
            )
            for number, name in enumerate(EXPERIMENTS)
        }
    )
    run = MadeUpRun(STARTED, planned)
    timed: list[tuple[float, int, Event]] = []

    def at(moment: float, event: Event) -> None:
        timed.append((moment, len(timed), event))

    for number, name in enumerate(EXPERIMENTS):
        _experiment(run, draw, at, name, list(RSES)[number], each, files_per_dataset, trouble, span_s, number)
    for tick in range(int(span_s // 5) + 1):
        moment = BEGIN + 5 * tick
        for place, service in enumerate(SERVICES):
            cpu = draw.random() * (place + 1) / 5
            restarts = int(service == "conveyor-submitter" and tick > 4)
            memory = 50_000_000 * (place + 1) + tick * 100_000
            at(moment, ServiceSample(moment, service, cpu, memory, restarts))
        for rse in RSES:
            at(moment, RseUsage(moment, rse, 10_000_000 * tick, 10 * tick))
        at(moment, GeneratorUsage(moment, 0.1 * tick, 90_000_000 + tick, 5 * tick))
    timed.sort(key=lambda item: item[:2])
    run.events = [event for _, _, event in timed]
    last = timed[-1][0] if timed else BEGIN
    run.events.append(Note(BEGIN + span_s, "injected"))
    if is_ended:
        run.events.append(Note(last + 1, "ended"))
    return run


def _experiment(run, draw, at, name, rse, files, per_dataset, trouble, span_s, number) -> None:
    base = number * 10_000_000
    for dataset in range(-(-files // per_dataset)):
        did = Did(name.lower(), f"{name}/20201119/{STARTED.run}/run{dataset:05d}")
        members = range(dataset * per_dataset, min(files, (dataset + 1) * per_dataset))
        due = BEGIN + span_s * members[0] / files
        first = base + 3_000_000 + dataset
        at(due, Intention(first, Kind.DATASET, name, dataset, did, "", 0, due))
        at(due + 0.1, Outcome(first, "create", due, due + 0.1, Ending.OK))
        ended = due + 0.2
        for file in members:
            ended = max(
                ended, _file(run, draw, at, name, rse, base, dataset, file, due, trouble, span_s / files)
            )
        at(ended, Intention(first + 1_000_000, Kind.CLOSE, name, dataset, did, "", 0, ended))
        at(ended + 0.1, Outcome(first + 1_000_000, "close", ended, ended + 0.1, Ending.OK))
        _rule(run, draw, at, name, rse, base + 5_000_000 + dataset, did, members, ended + 0.2, trouble)


def _file(run, draw, at, name, rse, base, dataset, file, due_first, trouble, gap) -> float:
    due = due_first + gap * (file % 1000) * 0.5
    did = Did(name.lower(), f"{name}/20201119/{STARTED.run}/run{dataset:05d}/{file:06d}.fits")
    action = base + file
    at(due - 0.2, Intention(action, Kind.UPLOAD, name, dataset, did, rse, 1_000_000, due))
    begun = due + draw.expovariate(200)
    put = begun + 0.05 + draw.expovariate(5)
    fate = draw.random()
    if fate < trouble * 0.3:
        run.files[name, "dropped"] += 1
        at(due, Outcome(action, "put", due, due, Ending.DROPPED, "in-flight-bound"))
        return due
    if fate < trouble * 0.6:
        run.files[name, "failed"] += 1
        reason, message = draw.choice(
            [("no-space", f"root://{rse.lower()}//rucio/{did.name}: no space left on device"),
             ("timeout", f"root://{rse.lower()}//rucio/{did.name}: no answer in 30 s")]
        )  # fmt: skip
        at(put, Outcome(action, "put", begun, put, Ending.FAILED, reason, message))
        return put
    if fate < trouble * 0.8:
        run.files[name, "unknown"] += 1
        if draw.random() < 0.5:
            at(put, Outcome(action, "put", begun, put, Ending.UNKNOWN, "timeout", "no answer in 30 s"))
        return put
    if draw.random() < trouble / 4:  # a second attempt
        at(put, Outcome(action, "put", begun, put, Ending.FAILED, "connection", "connection reset"))
        put += 0.1
    at(put, Outcome(action, "put", put - 0.05, put, Ending.OK, detail=f"{draw.getrandbits(32):08x}"))
    registered = put + 0.2 + draw.random() / 2
    if fate < trouble * 0.9:
        run.files[name, "failed"] += 1
        at(registered, Outcome(action, "register", put, registered, Ending.FAILED, "duplicate", "is there"))
        return registered
    run.files[name, "ok"] += 1
    at(registered, Outcome(action, "register", put, registered, Ending.OK))
    return registered


def _rule(run, draw, at, name, rse, action, did, members, due, trouble) -> None:
    targets = [other for other in RSES if other != rse]
    at(due, Intention(action, Kind.RULE, name, members[0], did, "QOS=SAFE", 0, due))
    if draw.random() < trouble / 2:
        run.rules[name, "failed"] += 1
        at(due + 0.3, Outcome(action, "rule", due, due + 0.3, Ending.FAILED, "quota", "the quota is used up"))
        return
    rule = f"{draw.getrandbits(128):032x}"
    at(due + 0.2, Outcome(action, "rule", due, due + 0.2, Ending.OK, detail=rule))
    count = len(members)
    at(due + 1, RuleSeen(due + 1, rule, "REPLICATING", 0, count, 0))
    target = draw.choice(targets)
    last = due + 1
    for file in members:
        created = due + 0.5
        submitted, started = created + 3 + draw.random(), created + 6 + draw.random() * 2
        moved = float(int(started + 1 + draw.expovariate(0.5)))
        request = f"{draw.getrandbits(128):032x}"
        name_of_file = Did(did.scope, f"{did.name}/{file:06d}.fits")
        done = draw.random() > trouble / 5
        reason = "" if done else (
            f"TRANSFER ERROR: Copy failed (3rd pull). Last attempt: https://{rse.lower()}:1094/{file}"
            " [111] Connection refused"
        )  # fmt: skip
        seen = TransferSeen(
            moved + 1, done, request, name_of_file, rse, target, 1_000_000, "Functional Test", "davs",
            created, submitted, float(int(started)), moved, reason,
        )  # fmt: skip
        run.transfers["done" if done else "failed"] += 1
        at(moved + 1, seen)
        if draw.random() < 0.02:
            at(moved + 1.5, seen)  # the broker tells it twice
        last = max(last, moved + 1)
    stuck = draw.random() < trouble / 2
    state = "STUCK" if stuck else "OK"
    run.rules[name, state.lower()] += 1
    stuck_locks = int(stuck)
    at(last + 1, RuleSeen(last + 1, rule, state, count - stuck_locks, 0, stuck_locks))
