"""The jobs on disk: one SQLite file that outlives the process."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from fdr.errors import LakeUnusable
from fdr.lake.fts.job import (
    FINAL_JOB_STATES,
    UNFINISHED_STATES,
    File,
    FileState,
    Job,
    JobState,
    JobType,
    Link,
)

JOB_COLUMNS = tuple(field.name for field in fields(Job) if field.name != "files")
FILE_COLUMNS = tuple(field.name for field in fields(File))
NEW_FILE_COLUMNS = tuple(name for name in FILE_COLUMNS if name != "file_id")
TRUTHS = frozenset({"dst_file_report", "cancel_job", "recoverable"})
FINAL = ", ".join(f"'{state}'" for state in sorted(FINAL_JOB_STATES))
UNFINISHED = ", ".join(f"'{state}'" for state in sorted(UNFINISHED_STATES))
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS job ({", ".join(JOB_COLUMNS)}, PRIMARY KEY (job_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS job_ended ON job (job_finished);
CREATE TABLE IF NOT EXISTS file (
    file_id INTEGER PRIMARY KEY, {", ".join(NEW_FILE_COLUMNS)}
);
CREATE INDEX IF NOT EXISTS file_of_job ON file (job_id, file_id);
CREATE INDEX IF NOT EXISTS file_waiting ON file (source_se, dest_se, priority DESC, file_id)
    WHERE file_state = 'SUBMITTED';
CREATE TABLE IF NOT EXISTS banned (storage PRIMARY KEY, message, status, since);
"""


class Duplicate(Exception):
    """A job of this id is there already."""


class Head(NamedTuple):
    """The file of a link that is next: a larger tuple goes first."""

    priority: int
    minus_file_id: int
    job_id: str


class Store:
    """Jobs by id, and the queue of files that wait for a copy.

    Not for several threads. Every change is on disk when the call returns, as far as the death of this
    process is concerned; it is not synchronised against a power cut, which no embedded lake survives.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or begin one. Raises LakeUnusable when it cannot be used."""
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;" + SCHEMA)
        except sqlite3.Error as error:
            raise LakeUnusable(f"{path}: the FTS stand-in cannot keep its jobs there: {error}") from error
        self._busy: dict[str, Job] = {}
        self._heads: dict[Link, Head | None] = {}
        self._waiting: Counter[Link] = Counter()
        for source, dest, count in self._db.execute(
            "SELECT source_se, dest_se, count(*) FROM file WHERE file_state = 'SUBMITTED' GROUP BY 1, 2"
        ):
            self._waiting[Link(source, dest)] = count

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def add(self, job: Job) -> Job:
        """Keep a new job; return it with the ids of its files. Raises Duplicate."""
        with self._db:
            self._db.execute("BEGIN")
            try:
                self._insert("job", JOB_COLUMNS, job)
            except sqlite3.IntegrityError as error:
                raise Duplicate(job.job_id) from error
            files = []
            for file in job.files:
                row_id = self._insert("file", NEW_FILE_COLUMNS, file)
                files.append(replace(file, file_id=row_id))
        for file in files:
            self._count(file, +1)
        return replace(job, files=tuple(files))

    def get(self, job_id: str) -> Job | None:
        """Return a job, None when it is not known."""
        if job_id in self._busy:
            return self._busy[job_id]
        row = self._db.execute(
            f"SELECT {', '.join(JOB_COLUMNS)} FROM job WHERE job_id = ?", (job_id,)
        ).fetchone()
        return None if row is None else self._job(row)

    def save(self, old: Job, new: Job) -> None:
        """Write what differs between two values of one job.

        A job with files that are being copied stays in memory until none is left.
        """
        pairs = [(a, b) for a, b in zip(old.files, new.files, strict=True) if a is not b]
        with self._db:
            self._db.execute("BEGIN")
            for before, after in pairs:
                self._update("file", FILE_COLUMNS, before, after, ("file_id", after.file_id))
            self._update("job", JOB_COLUMNS, old, new, ("job_id", new.job_id))
        for before, after in pairs:
            self._count(before, -1)
            self._count(after, +1)
        if any(file.file_state in (FileState.READY, FileState.ACTIVE) for file in new.files):
            self._busy[new.job_id] = new
        else:
            self._busy.pop(new.job_id, None)

    def waiting(self) -> dict[Link, int]:
        """Return how many files wait on each link that has any."""
        return dict(self._waiting)

    def head(self, link: Link) -> Head | None:
        """Return what is next on a link: the highest priority, then first come."""
        if link not in self._heads:
            row = self._db.execute(
                "SELECT priority, -file_id, job_id FROM file WHERE file_state = 'SUBMITTED'"
                " AND source_se = ? AND dest_se = ? ORDER BY priority DESC, file_id LIMIT 1",
                link,
            ).fetchone()
            self._heads[link] = None if row is None else Head(*row)
        return self._heads[link]

    def unfinished(self, states: tuple[str, ...] = (), limit: int | None = None) -> Iterator[Job]:
        """Yield jobs that have not ended, or the last ``limit`` ones in any of ``states``; without files."""
        query = f"SELECT {', '.join(JOB_COLUMNS)} FROM job WHERE "
        query += f"job_state IN ({', '.join('?' * len(states))})" if states else "job_finished IS NULL"
        if states and limit is None:
            query += " AND job_finished IS NULL"
        if limit is not None:
            query += f" ORDER BY submit_time DESC LIMIT {limit}"
        for row in self._db.execute(query, states).fetchall():
            yield self._job(row, with_files=False)

    def open_jobs(self) -> list[str]:
        """Return the ids of jobs with files that are neither waiting nor final, canceled ones included."""
        return [
            row[0]
            for row in self._db.execute(
                "SELECT DISTINCT job_id FROM file"
                " WHERE file_state IN ('READY', 'ACTIVE', 'STAGING', 'STARTED')"
                " OR (file_state = 'CANCELED' AND finish_time IS NULL)"
            )
        ]

    def touching(self, storage: str) -> list[str]:
        """Return the ids of jobs with a file from or to a storage that has not ended or had no turn."""
        return [
            row[0]
            for row in self._db.execute(
                f"SELECT DISTINCT job_id FROM file WHERE file_state IN ({UNFINISHED}, 'NOT_USED')"
                " AND ? IN (source_se, dest_se)",
                (storage,),
            )
        ]

    def prune(self, before: str, keep_jobs: int) -> int:
        """Forget jobs that ended before a time, and the oldest beyond ``keep_jobs``; return how many."""
        with self._db:
            self._db.execute("BEGIN")
            self._db.execute("CREATE TEMP TABLE IF NOT EXISTS gone (job_id PRIMARY KEY)")
            self._db.execute("DELETE FROM gone")
            self._db.execute(
                f"INSERT INTO gone SELECT job_id FROM job WHERE job_state IN ({FINAL})"
                " AND (job_finished < ? OR job_id IN (SELECT job_id FROM job WHERE job_finished IS NOT NULL"
                " ORDER BY job_finished DESC LIMIT -1 OFFSET ?))",
                (before, keep_jobs),
            )
            self._db.executemany("DELETE FROM gone WHERE job_id = ?", [(job_id,) for job_id in self._busy])
            self._db.execute("DELETE FROM file WHERE job_id IN (SELECT job_id FROM gone)")
            return self._db.execute("DELETE FROM job WHERE job_id IN (SELECT job_id FROM gone)").rowcount

    def banned(self) -> dict[str, tuple[str, str, str]]:
        """Return the banned storages, each with message, status and since when."""
        return {row[0]: (row[1], row[2], row[3]) for row in self._db.execute("SELECT * FROM banned")}

    def ban(self, storage: str, message: str, status: str, now: str) -> None:
        """Ban a storage: no new job may name it."""
        self._db.execute("REPLACE INTO banned VALUES (?, ?, ?, ?)", (storage, message, status, now))

    def unban(self, storage: str) -> None:
        """Lift a ban, if there is one."""
        self._db.execute("DELETE FROM banned WHERE storage = ?", (storage,))

    def _insert(self, table: str, columns: tuple[str, ...], value: Job | File) -> int:
        marks = ", ".join("?" * len(columns))
        row = [getattr(value, name) for name in columns]
        cursor = self._db.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", row)
        return cursor.lastrowid or 0

    def _update(
        self, table: str, columns: tuple[str, ...], old: Job | File, new: Job | File, key: tuple[str, object]
    ) -> None:
        changed = {name: getattr(new, name) for name in columns if getattr(new, name) != getattr(old, name)}
        if changed:
            assignments = ", ".join(f"{name} = ?" for name in changed)
            self._db.execute(
                f"UPDATE {table} SET {assignments} WHERE {key[0]} = ?", [*changed.values(), key[1]]
            )

    def _job(self, row: tuple[object, ...], with_files: bool = True) -> Job:
        members = _members(JOB_COLUMNS, row)
        members["job_type"], members["job_state"] = (
            JobType(members["job_type"]),
            JobState(members["job_state"]),
        )
        files: tuple[File, ...] = ()
        if with_files:
            query = f"SELECT {', '.join(FILE_COLUMNS)} FROM file WHERE job_id = ? ORDER BY file_id"
            files = tuple(_file(found) for found in self._db.execute(query, (members["job_id"],)))
        return Job(**members, files=files)

    def _count(self, file: File, step: int) -> None:
        if file.file_state is not FileState.SUBMITTED:
            return
        link = Link(file.source_se, file.dest_se)
        self._heads.pop(link, None)
        self._waiting[link] += step
        if not self._waiting[link]:
            del self._waiting[link]


def _file(row: tuple[object, ...]) -> File:
    members = _members(FILE_COLUMNS, row)
    members["file_state"] = FileState(members["file_state"])
    return File(**members)


def _members(columns: tuple[str, ...], row: tuple[object, ...]) -> dict[str, Any]:
    members = dict(zip(columns, row, strict=True))
    for name in TRUTHS & members.keys():
        members[name] = None if members[name] is None else bool(members[name])
    return members
