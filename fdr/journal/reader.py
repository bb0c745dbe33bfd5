"""What a journal holds, read while its run goes on, after it, or after it was killed."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from fdr.errors import UsageError
from fdr.journal.rows import intention_event
from fdr.journal.schema import (
    APPLICATION_ID,
    RUN_COLUMNS,
    SCHEMA_VERSION,
    TABLES,
    Table,
    grouped_statement,
    select_statement,
)
from fdr.model import Did, Kind, Note, Outcome, RunStarted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from fdr.model import Event, Intention

Cursor = tuple[int, ...]  # the last row read of each table, in the order of TABLES
FROM_THE_START: Cursor = (0,) * len(TABLES)
ROWS_AT_ONCE = 10_000
(OUTCOMES,) = (table for table in TABLES if table.event is Outcome)
BUSY_TIMEOUT_S = 10.0


class JournalReader:
    """A journal open for reading; it never writes, and holds no more than ``ROWS_AT_ONCE`` rows a table.

    Raises UsageError, from any method, when the file turns out to be damaged.
    """

    def __init__(self, path: Path) -> None:
        """Open the journal; raises UsageError if it is missing, not a journal, or of another version."""
        self.path = path
        self._words: dict[int, str] = {}
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        with self._damage_told():
            self._connection = self._open()
            self.started = self._head()

    def events(self) -> Iterator[Event]:
        """Return every event on disk now: table by table, each in the order in which it was written.

        The tables are intentions, outcomes, rules, transfers, services, RSE usage, notes, generator usage,
        audits.
        """
        with self._damage_told(), self._snapshot():
            for table in TABLES:
                yield from self._all(table)

    def outcomes(self) -> Iterator[Outcome]:
        """Return every outcome on disk now, in the order in which they were written."""
        with self._damage_told(), self._snapshot():
            for event in self._all(OUTCOMES):
                if isinstance(event, Outcome):
                    yield event

    def count(self, kind: Kind) -> int:
        """Return how many intentions of a kind there are."""
        statement = "SELECT count(*) FROM intention WHERE kind = (SELECT id FROM word WHERE text = ?)"
        with self._damage_told():
            (count,) = self._connection.execute(statement, (kind,)).fetchone()
        return int(count)

    def events_since(self, cursor: Cursor = FROM_THE_START) -> tuple[list[Event], Cursor]:
        """Return events written after the cursor, and the cursor after them; no events: there are no more.

        At most ``ROWS_AT_ONCE`` of a table come at once, and then nothing of the tables behind it, so that
        nothing is told before what it refers to.
        """
        found: list[Event] = []
        lasts = list(cursor)
        with self._damage_told(), self._snapshot():
            for number, table in enumerate(TABLES):
                events, lasts[number] = self._read(table, lasts[number])
                found.extend(events)
                if len(events) == ROWS_AT_ONCE:
                    break
        return found, tuple(lasts)

    def by_dataset(self, *kinds: Kind) -> Iterator[Intention]:
        """Return the intentions of some kinds, or of all, those of one experiment's dataset together.

        Memory does not grow with them.
        """
        kinds = kinds or tuple(Kind)
        with self._damage_told():
            self._learn_words()
            rows = self._connection.execute(grouped_statement(len(kinds)), kinds)
            while chunk := rows.fetchmany(ROWS_AT_ONCE):
                yield from (intention_event(row, self._words) for row in chunk)

    def notes(self) -> list[Note]:
        """Return the moments that the journal notes; there are few."""
        with self._damage_told():
            rows = self._connection.execute("SELECT at, kind, text FROM note_told ORDER BY id").fetchall()
        return [Note(*row) for row in rows]

    def destinations(self) -> dict[str, frozenset[str]]:
        """Return the RSEs that transfers went to, by scope."""
        with self._damage_told():
            rows = self._connection.execute(
                "SELECT scope.text, rse.text FROM (SELECT DISTINCT scope, dst_rse FROM transfer_seen) AS seen"
                " JOIN word AS scope ON scope.id = seen.scope JOIN word AS rse ON rse.id = seen.dst_rse"
            ).fetchall()
        return {scope: frozenset(rse for s, rse in rows if s == scope) for scope in {row[0] for row in rows}}

    def dids(self, actions: Collection[int]) -> dict[int, Did]:
        """Return what these actions were about; reads the intentions once, however few are asked for."""
        marks = ", ".join("?" * len(actions))
        statement = (
            "SELECT action, text, name FROM intention JOIN word ON word.id = intention.scope"
            f" WHERE action IN ({marks})"
        )
        with self._damage_told():
            rows = self._connection.execute(statement, tuple(actions)).fetchall()
        return {action: Did(scope, name) for action, scope, name in rows}

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
        if self._copy is not None:
            self._copy.cleanup()

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the reader."""
        self.close()

    def _open(self) -> sqlite3.Connection:
        if not self.path.is_file():
            raise UsageError(f"{self.path}: there is no journal (give the directory of a run)")
        try:
            return _connect(self.path, "mode=ro")
        except sqlite3.OperationalError:
            # The directory cannot be written, and SQLite wants a shared index beside a log that it reads.
            return self._open_elsewhere()

    def _open_elsewhere(self) -> sqlite3.Connection:
        log = self.path.with_name(self.path.name + "-wal")
        if not log.exists() or log.stat().st_size == 0:
            return _connect(self.path, "mode=ro&immutable=1")
        self._copy = tempfile.TemporaryDirectory(prefix="fdr-journal-")
        for file in (self.path, log):
            shutil.copyfile(file, Path(self._copy.name) / file.name)
        return _connect(Path(self._copy.name) / self.path.name, "mode=rw")

    def _head(self) -> RunStarted:
        (application,) = self._connection.execute("PRAGMA application_id").fetchone()
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION_ID:
            raise UsageError(f"{self.path}: is not a journal of fdr (give the directory of a run)")
        if version != SCHEMA_VERSION:
            raise UsageError(
                f"{self.path}: its schema is version {version}, this fdr reads version {SCHEMA_VERSION}"
                " (read it with the version of fdr that wrote it)"
            )
        row = self._connection.execute(f"SELECT {', '.join(RUN_COLUMNS)} FROM run").fetchone()
        return RunStarted(*row)

    def _read(self, table: Table, last: int) -> tuple[list[Event], int]:
        rows = self._connection.execute(select_statement(table), (last, ROWS_AT_ONCE)).fetchall()
        if not rows:
            return [], last
        self._learn_words()
        words, decode = self._words, table.decode
        # One writer appends and nobody deletes, so that ids have no gaps.
        return [decode(row, words) for row in rows], last + len(rows)

    def _all(self, table: Table) -> Iterator[Event]:
        last = 0
        while True:
            events, last = self._read(table, last)
            yield from events
            if len(events) < ROWS_AT_ONCE:
                return

    def _learn_words(self) -> None:
        self._words.update(
            self._connection.execute("SELECT id, text FROM word WHERE id >= ?", (len(self._words),))
        )

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[None]:
        """See the journal as it is now for the length of the block, whatever is written meanwhile."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            with contextlib.suppress(sqlite3.ProgrammingError):  # closed inside the block
                self._connection.execute("COMMIT")

    @contextlib.contextmanager
    def _damage_told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise UsageError(f"{self.path}: cannot be read as a journal: {error}") from error


def read_journal(path: Path) -> JournalReader:
    """Open a journal for reading, also while it is written; use it in a ``with`` block or close it.

    Raises UsageError if it is missing, not a journal, damaged, or of another schema version.
    """
    return JournalReader(path)


def _connect(path: Path, options: str) -> sqlite3.Connection:
    """Open a database and read from it once, because SQLite opens nothing before it must."""
    address = f"{path.absolute().as_uri()}?{options}"
    connection = sqlite3.connect(
        address, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S, check_same_thread=False
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection
