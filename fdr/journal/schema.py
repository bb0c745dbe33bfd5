"""The tables of a journal, and the SQL that makes, fills and reads them. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fdr.journal import rows
from fdr.journal.rows import Numbered, Row, Words
from fdr.model import (
    Audited,
    Event,
    GeneratorUsage,
    Intention,
    Note,
    Outcome,
    Resumed,
    RseUsage,
    RuleSeen,
    RunStarted,
    ServiceSample,
    TransferSeen,
)

APPLICATION_ID = 0x46445231  # "FDR1": what `file` and PRAGMA application_id tell of a journal
SCHEMA_VERSION = 2

FIRST_WORDS = ("", "ok")  # words 0 and 1 take no byte in a row, so the commonest two get them


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its columns after ``id``, and the way from an event to a row and back.

    ``words`` are the columns that hold the id of a text in the table ``word``.
    """

    name: str
    event: type[Event]
    columns: str
    words: tuple[str, ...]
    encode: Callable[[Any, Numbered], Row]
    decode: Callable[[Row, Words], Event]

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the columns after ``id``, in order."""
        return tuple(part.split()[0] for part in self.columns.split(","))


# In the order in which a journal is read: nothing comes before what it refers to.
TABLES = (
    Table(
        "intention",
        Intention,
        "action INTEGER, kind INTEGER, experiment INTEGER, dataset INTEGER, scope INTEGER, name TEXT,"
        " rse INTEGER, size_bytes INTEGER, due_at REAL",
        ("kind", "experiment", "scope", "rse"),
        rows.intention_row,
        rows.intention_event,
    ),
    Table(
        "outcome",
        Outcome,
        "action INTEGER, step INTEGER, begun_at REAL, ended_at REAL, ending INTEGER, reason INTEGER,"
        " message TEXT, detail TEXT",
        ("step", "ending", "reason"),
        rows.outcome_row,
        rows.outcome_event,
    ),
    Table(
        "rule_seen",
        RuleSeen,
        "at REAL, rule_id TEXT, state INTEGER, locks_ok INTEGER, locks_replicating INTEGER,"
        " locks_stuck INTEGER, error TEXT",
        ("state",),
        rows.rule_row,
        rows.rule_event,
    ),
    Table(
        "transfer_seen",
        TransferSeen,
        "at REAL, done INTEGER, request_id TEXT, scope INTEGER, name TEXT, src_rse INTEGER,"
        " dst_rse INTEGER, size_bytes INTEGER, activity INTEGER, protocol INTEGER, created_at REAL,"
        " submitted_at REAL, started_at REAL, transferred_at REAL, reason TEXT",
        ("scope", "src_rse", "dst_rse", "activity", "protocol"),
        rows.transfer_row,
        rows.transfer_event,
    ),
    Table(
        "service_sample",
        ServiceSample,
        "at REAL, service INTEGER, cpu REAL, memory_bytes INTEGER, restarts INTEGER",
        ("service",),
        rows.sample_row,
        rows.sample_event,
    ),
    Table(
        "rse_usage",
        RseUsage,
        "at REAL, rse INTEGER, used_bytes INTEGER, files INTEGER",
        ("rse",),
        rows.usage_row,
        rows.usage_event,
    ),
    Table("resumed", Resumed, "at REAL, last_at REAL", (), rows.resumed_row, rows.resumed_event),
    Table("note", Note, "at REAL, kind INTEGER, text TEXT", ("kind",), rows.note_row, rows.note_event),
    Table(
        "generator_usage",
        GeneratorUsage,
        "at REAL, cpu_seconds REAL, memory_peak_bytes INTEGER, requests INTEGER",
        (),
        rows.generator_row,
        rows.generator_event,
    ),
    Table(
        "audit",
        Audited,
        "at REAL, files INTEGER, copies INTEGER, lost INTEGER, dark INTEGER, wrong INTEGER,"
        " unrecorded INTEGER, unknown INTEGER, expired INTEGER, unseen INTEGER",
        (),
        rows.audit_row,
        rows.audit_event,
    ),
)

RUN_COLUMNS = tuple(RunStarted.__dataclass_fields__)


def create_statements() -> tuple[str, ...]:
    """Return the SQL that makes an empty journal: tables, and a view of each with words for ids."""
    statements = [
        f"PRAGMA application_id = {APPLICATION_ID}",
        f"PRAGMA user_version = {SCHEMA_VERSION}",
        f"CREATE TABLE run ({', '.join(RUN_COLUMNS)})",
        "CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL)",
    ]
    for table in TABLES:
        statements.append(f"CREATE TABLE {table.name} (id INTEGER PRIMARY KEY, {table.columns})")
        shown = ", ".join(
            f"(SELECT text FROM word WHERE word.id = {table.name}.{column}) AS {column}"
            if column in table.words
            else column
            for column in table.column_names
        )
        statements.append(f"CREATE VIEW {table.name}_told AS SELECT id, {shown} FROM {table.name}")
    return tuple(statements)


def insert_statement(table: Table, count: int) -> str:
    """Return the SQL that appends so many rows at once."""
    names = table.column_names
    row = f"({', '.join('?' * len(names))})"
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {', '.join([row] * count)}"


def select_statement(table: Table) -> str:
    """Return the SQL that reads rows after an id, in the order in which they were written."""
    return f"SELECT {', '.join(table.column_names)} FROM {table.name} WHERE id > ? ORDER BY id LIMIT ?"


def grouped_statement(kinds: int) -> str:
    """Return the SQL that reads the intentions of so many kinds, those of one dataset together.

    SQLite sorts them in little memory and, beyond that, in files of its own.
    """
    columns = ", ".join(TABLES[0].column_names)
    marks = ", ".join("?" * kinds)
    wanted = f"SELECT id FROM word WHERE text IN ({marks})"
    return f"SELECT {columns} FROM intention WHERE kind IN ({wanted}) ORDER BY experiment, dataset, id"
