"""The journal keeps its promises: on disk first, in order, readable after anything."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdr.errors import UsageError
from fdr.journal import writer as journal_module
from fdr.journal.reader import FROM_THE_START, ROWS_AT_ONCE, read_journal
from fdr.journal.writer import Journal, JournalFailed
from fdr.model import (
    Audited,
    Did,
    Ending,
    Event,
    GeneratorUsage,
    Intention,
    Kind,
    Note,
    Outcome,
    RseUsage,
    RuleSeen,
    RunStarted,
    ServiceSample,
    TransferSeen,
)

STARTED = RunStarted("run1", "smoke", 7, "d" * 64, 0.5, 24.0, 1.6e9, "0.1", "41.5.1", "local", "third-party")

text = st.text(max_size=20)
times = st.floats(0, 2e9)
maybe = st.none() | times
counts = st.integers(0, 2**62)
dids = st.builds(Did, text, text)
events = st.one_of(
    st.builds(Intention, counts, st.sampled_from(Kind), text, counts, dids, text, counts, times),
    st.builds(Outcome, counts, text, times, times, st.sampled_from(Ending), text, text, text),
    st.builds(RuleSeen, times, text, text, counts, counts, counts, text),
    st.builds(
        TransferSeen, times, st.booleans(), text, dids, text, text, counts, text, text, maybe, maybe, maybe,
        maybe, text,
    ),
    st.builds(ServiceSample, times, text, times, counts, counts),
    st.builds(RseUsage, times, text, counts, counts),
    st.builds(Note, times, text, text),
    st.builds(GeneratorUsage, times, times, counts, counts),
    st.builds(Audited, times, *[counts] * 9),
)  # fmt: skip


def intention(number: int) -> Intention:
    return Intention(number, Kind.UPLOAD, "CTA", 0, Did("cta", f"file{number}"), "SITE-A", 10, 1.6e9 + number)


def outcome(number: int) -> Outcome:
    return Outcome(number, "put", 1.6e9, 1.6e9 + 1, Ending.OK, detail="00c0ffee")


def of_type(found: list[Event], kind: type[Event]) -> list[Event]:
    return [event for event in found if isinstance(event, kind)]


@settings(max_examples=25, deadline=None)
@given(written=st.lists(events, max_size=60))
def test_every_event_comes_back_as_it_went_in(written: list[Event], tmp_path_factory) -> None:
    """What was recorded is read back equal, and in order within its kind."""
    path = tmp_path_factory.mktemp("run") / "journal.sqlite"

    async def write() -> None:
        journal = Journal.create(path, STARTED)
        journal.record(*written)
        await journal.close()

    asyncio.run(write())
    with read_journal(path) as reader:
        assert reader.started == STARTED
        read = list(reader.events())
    for kind in {type(event) for event in [*written, *read]}:
        assert of_type(read, kind) == of_type(written, kind)


async def test_an_intention_is_on_disk_when_intend_returns(tmp_path: Path) -> None:
    """Another process could read the intention the moment that intend has returned."""
    path = tmp_path / "journal.sqlite"
    journal = Journal.create(path, STARTED, max_delay_s=60)
    await journal.intend([intention(1), intention(2)])
    with read_journal(path) as reader:
        assert list(reader.events()) == [intention(1), intention(2)]
    await journal.close()


async def test_a_commit_waits_for_the_disk(tmp_path: Path) -> None:
    """Each commit is synchronised (FULL is 2), so that a power cut takes nothing that intend returned for."""
    journal = Journal.create(tmp_path / "journal.sqlite", STARTED)
    assert journal._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    await journal.close()


async def test_what_is_recorded_reaches_the_disk_without_being_waited_for(tmp_path: Path) -> None:
    """A recorded event is on disk soon although nobody flushes."""
    path = tmp_path / "journal.sqlite"
    journal = Journal.create(path, STARTED, max_delay_s=0.01)
    journal.record(outcome(1))
    with read_journal(path) as reader:
        async with asyncio.timeout(20):
            while not list(reader.events()):
                await asyncio.sleep(0.005)
    await journal.close()


async def test_events_keep_their_order_across_many_threads(tmp_path: Path) -> None:
    """Every thread's events are all there, and in the order in which that thread gave them."""
    path = tmp_path / "journal.sqlite"
    journal = Journal.create(path, STARTED)

    def record(thread: int) -> None:
        for number in range(2_000):
            journal.record(Note(number, f"thread{thread}"))

    threads = [threading.Thread(target=record, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    await asyncio.gather(*(asyncio.to_thread(thread.join) for thread in threads))
    await journal.close()
    with read_journal(path) as reader:
        notes = list(reader.events())
    for number in range(4):
        own = [note.at for note in notes if isinstance(note, Note) and note.kind == f"thread{number}"]
        assert own == list(range(2_000))


async def test_a_closed_journal_is_one_plain_file(tmp_path: Path) -> None:
    """After an orderly end nothing lies beside the journal, and it can be read from a read-only disk."""
    path = tmp_path / "journal.sqlite"
    journal = Journal.create(path, STARTED)
    journal.record(outcome(1))
    await journal.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["journal.sqlite"]
    assert path.read_bytes()[18:20] == b"\x01\x01"  # the file format without a write-ahead log
    with pytest.raises(JournalFailed, match="closed"):
        journal.record(outcome(2))


async def test_events_since_gives_each_event_once(tmp_path: Path) -> None:
    """Reading on from a cursor gives what came since, nothing twice, nothing left out."""
    path = tmp_path / "journal.sqlite"
    journal = Journal.create(path, STARTED)
    await journal.intend([intention(1)])
    with read_journal(path) as reader:
        first, cursor = reader.events_since()
        assert first == [intention(1)]
        assert reader.events_since(cursor) == ([], cursor)
        journal.record(outcome(1), Note(1.0, "injected"))
        await journal.flush()
        second, cursor = reader.events_since(cursor)
        assert second == [outcome(1), Note(1.0, "injected")]
        assert reader.events_since(cursor)[0] == []
    await journal.close()


async def test_intentions_come_dataset_by_dataset(tmp_path: Path) -> None:
    """However they were interleaved; those of one dataset in the order of writing."""
    path = tmp_path / "journal.sqlite"
    journal = Journal.create(path, STARTED)
    numbers = range(40)
    every = [
        replace(intention(number), experiment=("CTA", "SKA")[number % 2], dataset=number % 5)
        for number in numbers
    ]
    await journal.intend(every)
    with read_journal(path) as reader:
        found = list(reader.by_dataset())
    await journal.close()
    assert sorted(found, key=lambda one: one.action) == every
    groups = [key for key, _ in itertools.groupby(found, key=lambda one: (one.experiment, one.dataset))]
    assert len(groups) == len(set(groups)) == 10
    assert [one.action for one in found if (one.experiment, one.dataset) == ("CTA", 2)] == [2, 12, 22, 32]


async def test_notes_and_destinations_are_read_by_themselves(tmp_path: Path) -> None:
    """Without reading all that the journal holds."""
    path = tmp_path / "journal.sqlite"
    journal = Journal.create(path, STARTED)
    notes = [Note(1.0, "injected"), Note(2.0, "ended", "well")]
    nowhere = (None, None, None, None)
    transfers = [
        TransferSeen(1.0, True, str(number), Did(scope, "f"), "A", rse, 1, "", "", *nowhere)
        for number, (scope, rse) in enumerate([("cta", "B"), ("cta", "C"), ("cta", "B"), ("ska", "A")])
    ]
    journal.record(*notes, *transfers)
    await journal.flush()
    with read_journal(path) as reader:
        assert reader.notes() == notes
        assert reader.destinations() == {"cta": {"B", "C"}, "ska": {"A"}}
    await journal.close()


async def test_intentions_are_read_dataset_by_dataset(tmp_path: Path) -> None:
    """Those of the kinds asked for, in the order of writing within a dataset; outcomes in theirs."""
    journal = Journal.create(tmp_path / "journal.sqlite", STARTED)
    kinds = itertools.cycle(Kind)
    written = [
        replace(intention(number), kind=next(kinds), experiment=experiment, dataset=dataset)
        for number, (dataset, experiment) in enumerate(itertools.product([1, 0, 1], ["CTA", "SKA"] * 8))
    ]
    await journal.intend(written)
    journal.record(outcome(2), Note(1.0, "x"), outcome(1))
    await journal.close()
    with read_journal(journal.path) as reader:
        for asked in ([Kind.UPLOAD], [Kind.DATASET, Kind.RULE], list(Kind)):
            found = list(reader.by_dataset(*asked))
            wanted = [event for event in written if event.kind in asked]
            groups = {key: list(group) for key, group in itertools.groupby(found, dataset_of)}
            assert groups == {
                key: [event for event in wanted if dataset_of(event) == key]
                for key in map(dataset_of, wanted)
            }
            assert sum(map(len, groups.values())) == len(found) == len(wanted)
        assert reader.count(Kind.UPLOAD) == sum(event.kind is Kind.UPLOAD for event in written)
        assert list(reader.outcomes()) == [outcome(2), outcome(1)]


def dataset_of(event: Intention) -> tuple[str, int]:
    return event.experiment, event.dataset


async def test_events_since_tells_an_outcome_only_after_its_intention(tmp_path: Path) -> None:
    """When more intentions are new than come at once, their outcomes wait for a later call."""
    path = tmp_path / "journal.sqlite"
    journal = Journal.create(path, STARTED)
    count = ROWS_AT_ONCE + 5
    await journal.intend([intention(number) for number in range(count)])
    journal.record(outcome(0))
    await journal.close()
    with read_journal(path) as reader:
        first, cursor = reader.events_since(FROM_THE_START)
        second, _ = reader.events_since(cursor)
        everything = list(reader.events())
    assert len(first) == ROWS_AT_ONCE
    assert {type(event) for event in first} == {Intention}
    assert [type(event) for event in second] == [Intention] * 5 + [Outcome]
    assert everything == first + second


KILLED = """
import asyncio, os, signal, sys
sys.path.insert(0, {tests!r})
from dataclasses import replace
from pathlib import Path
from fdr.journal.writer import Journal
from tests.test_journal import STARTED, intention, outcome

async def main():
    journal = Journal.create(Path(sys.argv[1]), STARTED, max_delay_s=60)
    for number in range(500):
        await journal.intend([intention(number)])
        journal.record(outcome(number))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def killed_journal(folder: Path) -> Path:
    path = folder / "journal.sqlite"
    code = KILLED.format(tests=str(Path(__file__).parents[1]))
    ended = subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    return path


def test_after_kill_9_every_intention_that_returned_is_there(tmp_path: Path) -> None:
    """Killed at any moment, a journal holds all that intend returned for, and what came before it."""
    path = killed_journal(tmp_path)
    with read_journal(path) as reader:
        found = list(reader.events())
    assert of_type(found, Intention) == [intention(number) for number in range(500)]
    assert of_type(found, Outcome) == [outcome(number) for number in range(499)]


def test_a_killed_journal_is_readable_cut_anywhere_in_its_log(tmp_path: Path) -> None:
    """Whatever part of the write-ahead log reached the disk, a whole prefix of the run is read."""
    path = killed_journal(tmp_path)
    log = path.with_name("journal.sqlite-wal").read_bytes()
    assert len(log) > 100_000
    seen = set()
    for share in (0.0, 0.1, 0.333, 0.5, 0.9, 0.999, 1.0):
        copy = tmp_path / f"cut{share}"
        copy.mkdir()
        shutil.copy(path, copy / "journal.sqlite")
        (copy / "journal.sqlite-wal").write_bytes(log[: int(len(log) * share)])
        with read_journal(copy / "journal.sqlite") as reader:
            found = of_type(list(reader.events()), Intention)
        assert found == [intention(number) for number in range(len(found))]
        seen.add(len(found))
    assert max(seen) == 500
    assert len(seen) > 3


def test_a_killed_journal_is_readable_where_nothing_may_be_written(tmp_path: Path) -> None:
    """A copy in a directory that nobody may write still tells its run."""
    path = killed_journal(tmp_path)
    path.with_name("journal.sqlite-shm").unlink()
    code = (
        "import sys; from pathlib import Path; from fdr.journal.reader import read_journal\n"
        "with read_journal(Path(sys.argv[1])) as reader: print(sum(1 for _ in reader.events()))"
    )
    for entry in tmp_path.iterdir():
        entry.chmod(0o444)
    tmp_path.chmod(0o555)
    # root without capabilities may not do more than anybody else
    plain = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    try:
        told = subprocess.run(
            [*plain, sys.executable, "-c", code, str(path)], check=True, timeout=60, capture_output=True,
            cwd=Path(journal_module.__file__).parents[1],
        )  # fmt: skip
    finally:
        tmp_path.chmod(0o755)
    assert told.stdout.strip() == b"999"


async def test_a_killed_journal_goes_on_when_it_is_opened_again(tmp_path: Path) -> None:
    """What is written after it was killed follows what was there, with old words and new ones."""
    path = killed_journal(tmp_path)
    journal = Journal.reopen(path)
    more = [intention(500), replace(intention(501), experiment="HESS", rse="ELSEWHERE")]
    await journal.intend(more)
    await journal.close()
    with read_journal(path) as reader:
        found = list(reader.events())
        told, cursor = reader.events_since()
    assert of_type(found, Intention) == [*(intention(number) for number in range(500)), *more]
    assert len(of_type(found, Outcome)) == 499
    assert told == found
    assert cursor[:2] == (502, 499)


def test_only_a_journal_is_opened_again(tmp_path: Path) -> None:
    """Something else in its place is left as it is, and told in one sentence."""
    path = tmp_path / "journal.sqlite"
    path.write_text("precious" * 1000)
    with pytest.raises(UsageError, match="journal"):
        Journal.reopen(path)
    assert path.read_text() == "precious" * 1000
    with pytest.raises(UsageError, match="there is no journal"):
        Journal.reopen(tmp_path / "nothing")


def test_a_journal_that_is_there_has_its_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Died while it was made, there is no journal; the next attempt makes it."""

    def die(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "journal.sqlite"
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", die)
        with pytest.raises(JournalFailed, match="No space left"):
            Journal.create(path, STARTED)
    assert not path.exists()
    asyncio.run(Journal.create(path, STARTED).close())
    with read_journal(path) as reader:
        assert reader.started == STARTED


def test_a_journal_is_not_overwritten(tmp_path: Path) -> None:
    """A second run cannot take the place of the record of a first."""
    path = tmp_path / "journal.sqlite"
    path.write_text("precious")
    with pytest.raises(UsageError, match="already"):
        Journal.create(path, STARTED)
    assert path.read_text() == "precious"


async def test_a_full_disk_fails_the_journal_and_everybody_hears_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full, intend raises, so does every later call, and failed tells the engine."""
    path = tmp_path / "journal.sqlite"
    journal = Journal.create(path, STARTED)
    await journal.intend([intention(number) for number in range(100)])
    journal._connection.execute("PRAGMA max_page_count = 30")  # SQLite's own way to a full disk
    watching = asyncio.create_task(journal.failed())
    await asyncio.sleep(0)
    with pytest.raises(JournalFailed, match="full"):
        await journal.intend([intention(number) for number in range(100, 10_000)])
    assert "full" in str(await asyncio.wait_for(watching, 10))
    assert "full" in str(await journal.failed())
    with pytest.raises(JournalFailed):
        journal.record(outcome(1))
    with pytest.raises(JournalFailed):
        await journal.close()
    with read_journal(path) as reader:
        found = list(reader.events())
    assert found == [intention(number) for number in range(100)]


async def test_an_event_that_cannot_be_written_fails_the_journal_instead_of_hanging_it(
    tmp_path: Path,
) -> None:
    """A number too large for the file is a failure that is told, not a thread that died."""
    journal = Journal.create(tmp_path / "journal.sqlite", STARTED)
    with pytest.raises(JournalFailed):
        async with asyncio.timeout(20):
            await journal.intend([Intention(2**70, Kind.UPLOAD, "", 0, Did("", ""), "", 0, 0.0)])
    with pytest.raises(JournalFailed):
        await journal.close()


async def test_a_message_that_is_not_text_is_kept_as_far_as_it_is(tmp_path: Path) -> None:
    """Half a character in a storage's message does not stop the run."""
    path = tmp_path / "journal.sqlite"
    journal = Journal.create(path, STARTED)
    journal.record(Note(1.0, "interrupted", "no such file \udcff é"))
    await journal.close()
    with read_journal(path) as reader:
        assert list(reader.events()) == [Note(1.0, "interrupted", "no such file ? é")]


async def test_more_than_the_bound_fails_instead_of_eating_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that cannot keep up ends the run with a message; nothing is left out in silence."""
    monkeypatch.setattr(journal_module, "MAX_PENDING", 10)
    path = tmp_path / "journal.sqlite"
    journal = Journal.create(path, STARTED, max_delay_s=60)
    for number in range(10):
        journal.record(outcome(number))
    with pytest.raises(JournalFailed, match="too slow"):
        journal.record(outcome(10))
    with pytest.raises(JournalFailed):
        await journal.close()
    with read_journal(path) as reader:
        assert list(reader.events()) == [outcome(number) for number in range(10)]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "no journal"), (b"", "not a journal"), (b"hello world" * 1000, "cannot be read")],
)
def test_what_is_not_a_journal_is_refused_in_words(
    tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    """A missing, an empty and a foreign file each get a sentence, not a traceback."""
    path = tmp_path / "journal.sqlite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=complaint):
        read_journal(path)


async def test_a_truncated_file_is_called_damaged(tmp_path: Path) -> None:
    """A journal that lost its end with its disk is refused in words."""
    path = tmp_path / "journal.sqlite"
    journal = Journal.create(path, STARTED)
    await journal.intend([intention(number) for number in range(5000)])
    await journal.close()
    path.write_bytes(path.read_bytes()[:-50_000])
    with pytest.raises(UsageError, match="cannot be read"), read_journal(path) as reader:
        list(reader.events())


async def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    """A journal of a later fdr is not half understood."""
    path = tmp_path / "journal.sqlite"
    await Journal.create(path, STARTED).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(UsageError, match="version 99"):
        read_journal(path)


async def test_a_reader_may_leave_in_the_middle(tmp_path: Path) -> None:
    """Stopping half-way through the events closes cleanly."""
    path = tmp_path / "journal.sqlite"
    journal = Journal.create(path, STARTED)
    await journal.intend([intention(1), intention(2)])
    await journal.close()
    with read_journal(path) as reader:
        going = reader.events()
        assert next(going) == intention(1)
    going.close()


async def test_the_told_views_read_without_fdr(tmp_path: Path) -> None:
    """The documented views give words in place of numbers to anybody with sqlite3."""
    path = tmp_path / "journal.sqlite"
    journal = Journal.create(path, STARTED)
    await journal.intend([intention(1)])
    await journal.close()
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT kind, experiment, scope, name, rse FROM intention_told").fetchall()
    connection.close()
    assert rows == [("upload", "CTA", "cta", "file1", "SITE-A")]
