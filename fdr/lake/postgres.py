"""PostgreSQL, for Rucio's database."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from fdr.errors import LakeUnusable
from fdr.lake.home import service_user
from fdr.lake.service import Service
from fdr.lake.settings import write_private

if TYPE_CHECKING:
    from fdr.lake.home import LakeHome
    from fdr.lake.settings import Settings

NAME = "postgres"
INITDB_WITHIN_S = 300
QUERY_WITHIN_S = 120
DATABASE = "rucio"
USER = "rucio"
SETTINGS = {
    "listen_addresses": "",  # the socket is the only way in
    "max_connections": "200",
    "shared_buffers": "128MB",
    "fsync": "off",  # a rehearsal's database is thrown away
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    "max_wal_size": "2GB",
    "log_min_messages": "warning",
}


def binaries() -> Path:
    """Return the directory of PostgreSQL's programs. Raises LakeUnusable when there is none."""
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3].split(".")[0])
    )
    on_path = shutil.which("initdb")
    found = [*versions, *([Path(on_path)] if on_path else [])]
    if not found:
        raise LakeUnusable("PostgreSQL is missing (no initdb was found): run tools/install-system")
    return found[0 if not versions else len(versions) - 1].resolve().parent


def socket_directory(home: LakeHome) -> Path:
    """Return where PostgreSQL's socket is."""
    return home.postgres / "socket"


def database_url(home: LakeHome, settings: Settings) -> str:
    """Return the SQLAlchemy URL of Rucio's database."""
    return f"postgresql+psycopg://{USER}:{settings.secrets['database']}@/{DATABASE}?host={socket_directory(home)}"


def postgres_service(home: LakeHome) -> Service:
    """Return PostgreSQL as the keeper runs it."""
    options = [word for key, value in SETTINGS.items() for word in ("-c", f"{key}={value}")]
    return Service(
        name=NAME,
        command=(
            str(binaries() / "postgres"),
            "-D",
            str(home.postgres / "cluster"),
            "-k",
            str(socket_directory(home)),
            *options,
        ),
        user=service_user("postgres"),
        priority=10,
        stop_signal="INT",
    )


def initialise(home: LakeHome, settings: Settings) -> None:
    """Make the database cluster unless it is there. Raises LakeUnusable when initdb fails."""
    cluster = home.postgres / "cluster"
    complete = home.postgres / "complete"
    if complete.exists():
        return
    shutil.rmtree(home.postgres, ignore_errors=True)
    user = service_user("postgres")
    for directory in (home.postgres, cluster, socket_directory(home)):
        directory.mkdir(mode=0o700)
        if user:
            shutil.chown(directory, user)
    password = home.postgres / "password"
    write_private(password, settings.secrets["database"] + "\n")
    if user:
        shutil.chown(password, user)
    try:
        done = subprocess.run(
            [
                str(binaries() / "initdb"),
                "-D",
                str(cluster),
                f"--username={USER}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--no-locale",
                "--no-sync",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd="/",
            user=user,
            group=user,
            extra_groups=[] if user else None,
            timeout=INITDB_WITHIN_S,
        )
    except subprocess.TimeoutExpired as error:
        raise LakeUnusable(f"PostgreSQL's initdb did not end within {INITDB_WITHIN_S} s") from error
    finally:
        password.unlink()
    if done.returncode != 0:
        raise LakeUnusable("\n".join(["PostgreSQL's initdb failed:", *done.stdout.splitlines()[-15:]]))
    complete.touch()


def is_ready(home: LakeHome) -> bool:
    """Tell whether PostgreSQL takes connections."""
    command = [str(binaries() / "pg_isready"), "-q", "-h", str(socket_directory(home))]
    return subprocess.run(command, check=False).returncode == 0


def query(home: LakeHome, settings: Settings, sql: str) -> list[tuple[str, ...]]:
    """Run SQL on Rucio's database and return its rows as text. Raises LakeUnusable when it fails.

    For whoever wants to count for himself: fdr does not read Rucio's database.
    """
    command = [
        str(binaries() / "psql"),
        *("-h", str(socket_directory(home)), "-U", USER, "-d", DATABASE),
        *("-X", "-q", "-A", "-t", "-F", "\x1f", "-v", "ON_ERROR_STOP=1", "-c", sql),
    ]
    environment = {**os.environ, "PGPASSWORD": settings.secrets["database"]}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=QUERY_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LakeUnusable(f"the database did not answer within {QUERY_WITHIN_S} s") from error
    if done.returncode != 0:
        raise LakeUnusable(f"the database did not answer: {settings.redact(done.stderr.strip())}")
    return [tuple(line.split("\x1f")) for line in done.stdout.splitlines()]
