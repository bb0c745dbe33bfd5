"""The SQLite file of a journal: make it with its head, open it for its one writer."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from fdr.journal.schema import FIRST_WORDS, RUN_COLUMNS, create_statements

if TYPE_CHECKING:
    from pathlib import Path

    from fdr.model import RunStarted

CHECKPOINT_PAGES = 4_000  # the write-ahead log is folded into the file every 16 MB


def make_journal_file(path: Path, started: RunStarted) -> None:
    """Make a journal that holds its head and nothing else; a file at ``path`` always has its head.

    Raises sqlite3.Error or OSError when it cannot be made.
    """
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN")
        for statement in create_statements():
            connection.execute(statement)
        connection.executemany("INSERT INTO word VALUES (?, ?)", enumerate(FIRST_WORDS))
        marks = ", ".join("?" * len(RUN_COLUMNS))
        head = [getattr(started, column) for column in RUN_COLUMNS]
        connection.execute(f"INSERT INTO run VALUES ({marks})", head)
        connection.execute("COMMIT")
    unfinished.rename(path)


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open a journal so that a commit is on disk when it returns, and readers need not wait."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    return connection
