"""The record of a run: events appended to one SQLite file, intentions before their deeds."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
import threading
from collections import defaultdict
from typing import TYPE_CHECKING

from fdr.errors import ExitCode, FdrError, UsageError
from fdr.journal.file import make_journal_file, open_for_writing
from fdr.journal.reader import read_journal
from fdr.journal.schema import TABLES, Table, insert_statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from fdr.journal.rows import Row
    from fdr.model import Event, Intention, RunStarted

MAX_PENDING = 200_000  # events that may wait for the disk, about 60 MB; more, and the journal fails
# One statement appends many rows: SQLite lets go of the interpreter lock once a statement, and on a busy
# interpreter it then waits 5 ms to get it back.
CHUNKS = (256, 32, 4, 1)
INSERTS = {(table.name, size): insert_statement(table, size) for table in TABLES for size in CHUNKS}
ENCODERS = {table.event: table.encode for table in TABLES}

Waiter = asyncio.Future[None]


class JournalFailed(FdrError):
    """The record of the run cannot be kept, so the run must stop: nothing after this can be vouched for."""

    exit_code = ExitCode.INCONCLUSIVE


class Journal:
    """The one writer of a journal; a thread of its own commits what it is given, in order.

    At most ``MAX_PENDING`` events wait for the disk. When a write fails, or that bound is reached, the
    journal has failed for good: ``failed`` returns and every later call raises JournalFailed.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, words: Iterable[str], max_delay_s: float
    ) -> None:
        """Take a journal that is open and its words; call ``create`` or ``reopen`` instead."""
        self.path = path
        self._connection = connection
        self._max_delay_s = max_delay_s
        self._wake = threading.Condition()
        self._pending: list[Event] = []
        self._waiters: list[Waiter] = []
        self._failure: JournalFailed | None = None
        self._watchers: list[Waiter] = []
        self._closing = False
        self._words = {text: number for number, text in enumerate(words)}
        self._thread = threading.Thread(target=self._write_until_closed, name="journal", daemon=True)

    @classmethod
    def create(cls, path: Path, started: RunStarted, max_delay_s: float = 0.02) -> Journal:
        """Make a new journal that begins with ``started``, on disk when this returns.

        Raises UsageError if the path is taken, JournalFailed if it cannot be written.
        """
        if path.exists():
            raise UsageError(f"{path}: there is a journal already (choose another run directory)")
        try:
            make_journal_file(path, started)
        except (sqlite3.Error, OSError) as error:
            raise JournalFailed(f"{path}: the journal cannot be made: {error}") from error
        return cls.reopen(path, max_delay_s)

    @classmethod
    def reopen(cls, path: Path, max_delay_s: float = 0.02) -> Journal:
        """Go on writing a journal, also one whose writer was killed; hold its run first (``RunDir.held``).

        Raises UsageError if it is missing, not a journal, damaged, or of another schema version, and
        JournalFailed if it cannot be written.
        """
        read_journal(path).close()
        try:
            connection = open_for_writing(path)
            words = connection.execute("SELECT text FROM word ORDER BY id").fetchall()
        except sqlite3.Error as error:
            raise JournalFailed(f"{path}: the journal cannot be written: {error}") from error
        journal = cls(path, connection, [text for (text,) in words], max_delay_s)
        journal._thread.start()
        return journal

    def record(self, *events: Event) -> None:
        """Take events to be on disk soon (``max_delay_s`` and one commit), in order, from any thread.

        Never waits. Raises JournalFailed if the journal has failed or was closed.
        """
        with self._wake:
            self._accept(events)
            if len(self._pending) == len(events):  # the writer sleeps only while nothing is pending
                self._wake.notify()

    async def intend(self, intentions: Sequence[Intention]) -> None:
        """Return once the intentions, and all that was recorded before them, are on disk.

        Raises JournalFailed if they are not; then their deeds must not be begun.
        """
        await self._committed(intentions)

    async def flush(self) -> None:
        """Return once all that was recorded so far is on disk; raises JournalFailed if it is not."""
        await self._committed(())

    async def close(self) -> None:
        """Put all that is pending on disk, then leave one plain file; closing again does nothing.

        Raises JournalFailed if something recorded did not reach the disk.
        """
        with self._wake:
            self._closing = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join)
        if self._failure is not None:
            raise self._failure

    async def failed(self) -> JournalFailed:
        """Wait until the journal fails, and return why: for a run to watch beside its work."""
        while self._failure is None:
            watcher = asyncio.get_running_loop().create_future()
            self._watchers.append(watcher)
            try:
                if self._failure is None:
                    await watcher
            finally:
                self._watchers.remove(watcher)
        return self._failure

    def _accept(self, events: Sequence[Event]) -> None:
        if self._failure is not None:
            raise self._failure
        if self._closing:
            raise JournalFailed(f"{self.path}: the journal is closed; it takes no more events")
        if len(self._pending) + len(events) > MAX_PENDING:
            self._wake.notify()
            raise self._fail(f"{MAX_PENDING} events wait to be written: the disk is too slow for this load")
        self._pending.extend(events)

    async def _committed(self, events: Sequence[Event]) -> None:
        waiter = asyncio.get_running_loop().create_future()
        with self._wake:
            self._accept(events)
            self._waiters.append(waiter)
            self._wake.notify()
        await waiter
        if self._failure is not None:
            raise self._failure

    def _write_until_closed(self) -> None:
        """Commit group after group: what the thread of the journal does."""
        waiters: list[Waiter] = []
        try:
            last = False
            while not last:
                events, waiters, last = self._next_group()
                self._commit(events)
                _wake_all(waiters)
            self._make_one_file()
        except (sqlite3.Error, TypeError, ValueError, OverflowError) as error:
            with self._wake:
                self._fail(f"the journal cannot be written: {error}")
        finally:
            _wake_all(waiters)
            self._connection.close()

    def _make_one_file(self) -> None:
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with contextlib.suppress(sqlite3.OperationalError):  # somebody reads it now: it stays in two files
            self._connection.execute("PRAGMA journal_mode = DELETE")

    def _next_group(self) -> tuple[list[Event], list[Waiter], bool]:
        """Wait for events and then, unless somebody waits for them, a little longer for more.

        Returns them with those who wait for them, and whether this group is the last.
        """
        with self._wake:
            self._wake.wait_for(lambda: self._pending or self._urgent())
            self._wake.wait_for(self._urgent, timeout=self._max_delay_s)
            group = self._pending, self._waiters, self._closing or self._failure is not None
            self._pending, self._waiters = [], []
            return group

    def _urgent(self) -> bool:
        return bool(self._waiters) or self._closing or self._failure is not None

    def _commit(self, events: Iterable[Event]) -> None:
        known = len(self._words)
        rows: dict[type[Event], list[Row]] = defaultdict(list)
        for event in events:
            rows[type(event)].append(ENCODERS[type(event)](event, self._word))
        self._connection.execute("BEGIN")
        self._connection.executemany(
            "INSERT INTO word VALUES (?, ?)",
            ((number, text) for text, number in itertools.islice(self._words.items(), known, None)),
        )
        for table in TABLES:
            self._append(table, rows[table.event])
        self._connection.execute("COMMIT")

    def _append(self, table: Table, rows: Sequence[Row]) -> None:
        done = 0
        for size in CHUNKS:
            statement = INSERTS[table.name, size]
            while len(rows) - done >= size:
                chunk = rows[done : done + size]
                self._connection.execute(statement, tuple(itertools.chain.from_iterable(chunk)))
                done += size

    def _word(self, text: str) -> int:
        number = self._words.get(text)
        if number is None:
            number = self._words[text] = len(self._words)
        return number

    def _fail(self, why: str) -> JournalFailed:
        """Fail for good, and return why; the caller holds the lock."""
        if self._failure is None:
            self._failure = JournalFailed(f"{self.path}: {why}; the run cannot go on without its record")
        _wake_all([*self._watchers, *self._waiters])
        return self._failure


def _wake_all(waiters: Iterable[Waiter]) -> None:
    """Let those who wait go on, each in its own event loop; a loop that is over wants nothing more."""
    for loop, group in itertools.groupby(waiters, key=asyncio.Future.get_loop):
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, tuple(group))


def _settle(waiters: Iterable[Waiter]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
