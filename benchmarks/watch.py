"""Following many rules, and taking in many transfer events: what it costs, and whether anything is lost.

Usage: python -m benchmarks.watch [RULES] [FILES] [SECONDS]

Rucio really has RULES rules, on as many empty datasets in one scope; a made-up journal holds FILES files in
them, so that none of the rules ever looks done. They are followed for SECONDS (60) as a run does it.
Then events are sent through the lake's broker, 1000 a second for a third of that time, and counted.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import stomp

from benchmarks.injection import ACCOUNT, LIFETIME_S, SCOPE
from benchmarks.stage import RSES, heading, one_experiment, stage
from fdr.catalog import NewDataset
from fdr.clock import SteadyClock
from fdr.connection import Broker, read_connection
from fdr.journal.reader import read_journal
from fdr.journal.writer import Journal
from fdr.model import Did, Ending, Intention, Kind, Note, Outcome, Rule, RunStarted, TransferSeen, When
from fdr.rucio_catalog import RucioCatalog
from fdr.scenario.load import load_scenario
from fdr.stop import Stop
from fdr.transfer_events import TransferEvents
from fdr.watch import INTERVAL_S, Watch

EVENTS_A_SECOND = 1000
AT_ONCE = 8


async def make_rules(catalog: RucioCatalog, run: str, count: int) -> list[str]:
    """Make datasets with a rule each; return the ids of the rules."""
    rule = Rule("QOS=BENCH", 1, LIFETIME_S, "Functional Test", When.AT_CREATION)
    slots = asyncio.Semaphore(AT_ONCE)

    async def make(number: int) -> str:
        dataset = Did(SCOPE, f"{run}/dataset-{number:05d}")
        async with slots:
            await catalog.create_dataset(ACCOUNT, NewDataset(dataset, LIFETIME_S))
            return await catalog.add_rule(ACCOUNT, dataset, rule)

    return await asyncio.gather(*(make(number) for number in range(count)))


async def make_up(journal: Journal, run: str, rules: list[str], files: int) -> None:
    """Write what a run would have written that registered the files and added the rules."""
    per_dataset = -(-files // len(rules))
    for number, rule_id in enumerate(rules):
        dataset = Did(SCOPE, f"{run}/dataset-{number:05d}")
        base = number * (per_dataset + 2)
        await journal.intend(
            [
                Intention(base, Kind.DATASET, "BENCH", number, dataset, "", 0, 0.0),
                Intention(base + 1, Kind.RULE, "BENCH", number, dataset, "QOS=BENCH", 0, 0.0),
                *(
                    Intention(
                        base + 2 + file, Kind.UPLOAD, "BENCH", number,
                        Did(SCOPE, f"{run}/{number:05d}/{file:07d}"), RSES[file % 3], 1000, 0.0,
                    )
                    for file in range(per_dataset)
                ),
            ]
        )  # fmt: skip
        journal.record(
            Outcome(base, "create", 0.0, 1.0, Ending.OK),
            Outcome(base + 1, "rule", 0.0, 1.0, Ending.OK, detail=rule_id),
        )
        for file in range(per_dataset):
            journal.record(
                Outcome(base + 2 + file, "put", 0.0, 1.0, Ending.OK),
                Outcome(base + 2 + file, "register", 0.0, 1.0, Ending.OK),
            )
    await journal.flush()


async def follow(
    folder: Path, cfg: Path, scenario_path: Path, rules: int, files: int, seconds: float
) -> None:
    """Follow rules for a while, and print what a look costs."""
    run = f"watch-{time.time_ns()}"
    catalog = RucioCatalog(read_connection(cfg))
    begun = time.monotonic()
    ids = await make_rules(catalog, run, rules)
    print(f"{rules} rules made in {time.monotonic() - begun:.0f} s", file=sys.stderr)
    journal = Journal.create(folder / "watch.sqlite", STARTED)
    await make_up(journal, run, ids, files)
    clock, stop, injected = SteadyClock(), Stop(), asyncio.Event()
    with read_journal(journal.path) as reader:
        watch = Watch(run, load_scenario(scenario_path), catalog, journal, reader, clock)
        used = time.process_time()
        await watch.open_rules()
        print(f"caught up with {files} files and looked once: {time.process_time() - used:.1f} s CPU")
        asked, used, begun = catalog.requests, time.process_time(), time.monotonic()
        following = asyncio.create_task(watch.follow(injected, stop, 0.0))
        await asyncio.sleep(seconds)
        used, took, asked = time.process_time() - used, time.monotonic() - begun, catalog.requests - asked
        stop.because("interrupted", "enough")
        await following
    intervals = took / INTERVAL_S
    print(
        f"followed {rules} rules over {files} files for {took:.0f} s: {used / took:.1%} of a core,"
        f" {asked} calls to Rucio, {asked / intervals:.2f} for each scope and interval of {INTERVAL_S:g} s"
    )
    await journal.close()
    await catalog.close()


async def take_events(folder: Path, broker: Broker, seconds: float) -> None:
    """Send events at a steady rate, from a process of their own, and count those in a journal."""
    run, sent = f"events-{time.time_ns()}", round(EVENTS_A_SECOND * seconds)
    journal = Journal.create(folder / "events.sqlite", STARTED)
    with TransferEvents(broker, run, SteadyClock()) as events:
        events.tell(journal)
        used = time.process_time()
        sender = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.watch", "--send", json.dumps(vars_of(broker)), run, str(sent)
        )
        await sender.wait()
        deadline, seen = time.monotonic() + 30, -1
        while count_of(journal.path) != seen and time.monotonic() < deadline:
            seen = count_of(journal.path)
            await asyncio.sleep(2)
        used = time.process_time() - used
    await journal.close()
    with read_journal(folder / "events.sqlite") as reader:
        found = list(reader.events())
    seen = len({event.request_id for event in found if isinstance(event, TransferSeen)})
    notes = [event.kind for event in found if isinstance(event, Note)]
    print(
        f"events: {sent} sent, {EVENTS_A_SECOND} a second; {seen} in the journal, {sent - seen} lost,"
        f" notes {notes}; {used / seconds:.1%} of a core"
    )


def count_of(path: Path) -> int:
    """Return how many transfer events a journal holds by now."""
    with read_journal(path) as reader:
        return sum(isinstance(event, TransferSeen) for event in reader.events())


def send(told: dict[str, object], run: str, count: int) -> None:
    """Send events to the broker as Rucio's hermes does, at a steady rate."""
    broker = SimpleNamespace(**told)
    connection = stomp.Connection12(
        [(broker.host, broker.port)], vhost=broker.virtual_host, heartbeats=(0, 0)
    )
    connection.connect(broker.user, broker.password, wait=True)
    begun = time.monotonic()
    for number in range(count):
        wait_s = begun + number / EVENTS_A_SECOND - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        event = {
            "event_type": "transfer-done",
            "payload": {
                "request-id": f"{number:032x}", "scope": SCOPE, "name": f"{run}/{number:07d}",
                "src-rse": "BENCH-A", "dst-rse": "BENCH-B", "bytes": 1000, "activity": "Functional Test",
                "protocol": "root", "reason": "", "created_at": "2026-01-01 00:00:00",
                "submitted_at": "2026-01-01 00:00:01", "started_at": "2026-01-01 00:00:02",
                "transferred_at": "2026-01-01 00:00:03",
            },
        }  # fmt: skip
        connection.send(broker.topic, json.dumps(event))
    took = time.monotonic() - begun
    print(f"{count} events sent in {took:.1f} s", file=sys.stderr)
    connection.disconnect()


def vars_of(broker: Broker) -> dict[str, object]:
    """Return a broker's fields as JSON takes them."""
    return {
        name: getattr(broker, name) for name in ("host", "port", "topic", "user", "password", "virtual_host")
    }


STARTED = RunStarted("bench", "bench", 1, "0" * 64, 1, 1, 1.6e9, "0", "0", "none", "")


def main() -> None:
    """Follow and take in; or be the process that sends."""
    if "--send" in sys.argv:
        send(json.loads(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
        return
    rules = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    files = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 60
    with stage() as at:
        text = one_experiment("watch", 1, "1s", rules="{to: {qos: BENCH}, when: at-creation}")
        path = at.scenario("watch", text)
        print(heading())
        asyncio.run(follow(at.folder, at.lake.client_cfg, path, rules, files, seconds))
        connection = read_connection(at.lake.client_cfg)
        assert connection.broker is not None
        asyncio.run(take_events(at.folder, connection.broker, seconds / 3))


if __name__ == "__main__":
    main()
