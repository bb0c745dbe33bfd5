"""Where an embedded lake lives on this machine, and the one directory that holds all of it."""

from __future__ import annotations

import fcntl
import os
import pwd
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fdr.errors import LakeUnusable, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKER = ".fdr-lake"
MARKER_TEXT = "An embedded lake of fdr. 'fdr lake reset' removes this directory and all that is in it.\n"
SOCKET_PATH_LIMIT = 107
PLAIN_PATH = re.compile(r"[A-Za-z0-9/._+-]+")


@dataclass(frozen=True, slots=True)
class LakeHome:
    """The directory of one embedded lake; everything the lake keeps is below it."""

    directory: Path

    @classmethod
    def default(cls, directory: Path | None = None) -> LakeHome:
        """Return the home named, or by FDR_LAKE_DIR, or the usual one of this user.

        The usual one is /var/lib/fdr/lake for root, whose services run as users that cannot enter
        /root, and fdr/lake in the user's state directory for anyone else.
        """
        chosen = directory or os.environ.get("FDR_LAKE_DIR")
        if chosen:
            return cls(Path(chosen).absolute())
        if os.geteuid() == 0:
            return cls(Path("/var/lib/fdr/lake"))
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return cls(Path(state) / "fdr" / "lake")

    @property
    def marker(self) -> Path:
        """The file without which ``reset`` removes nothing."""
        return self.directory / MARKER

    @property
    def lock_file(self) -> Path:
        """Beside the directory, so that it can be held while the directory is removed."""
        return self.directory.with_name(f".{self.directory.name}.lock")

    @property
    def settings_file(self) -> Path:
        """What was chosen when the lake was made: ports, passwords, addresses of the RSEs."""
        return self.directory / "lake.json"

    @property
    def etc(self) -> Path:
        """Configuration files; only the lake's owner can read them."""
        return self.directory / "etc"

    @property
    def server_cfg(self) -> Path:
        """The rucio.cfg of the Rucio server and daemons."""
        return self.etc / "rucio.cfg"

    @property
    def client_home(self) -> Path:
        """The RUCIO_HOME of clients of this lake."""
        return self.directory / "client"

    @property
    def client_cfg(self) -> Path:
        """The rucio.cfg of clients of this lake, fdr itself among them."""
        return self.client_home / "etc" / "rucio.cfg"

    @property
    def logs(self) -> Path:
        """One log a service, NAME.log."""
        return self.directory / "logs"

    @property
    def run(self) -> Path:
        """What only matters while the lake is up: sockets, process ids, restart counts."""
        return self.directory / "run"

    @property
    def keeper_socket(self) -> Path:
        """Where the process keeper listens."""
        return self.run / "keeper.sock"

    @property
    def postgres(self) -> Path:
        """The database cluster and its socket; owned by the user that runs PostgreSQL."""
        return self.directory / "postgres"

    def make(self) -> None:
        """Make the directory, its marker and its parts. Raises LakeUnusable when it cannot serve."""
        self._check_path()
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            if not self.marker.exists() and any(self.directory.iterdir()):
                raise LakeUnusable(
                    f"{self.directory}: is not empty and is not a lake of fdr: name an empty directory"
                )
            self.marker.write_text(MARKER_TEXT)
            self.directory.chmod(0o711)
            for part, mode in (
                (self.etc, 0o700),
                (self.logs, 0o711),
                (self.run, 0o700),
                (self.client_home, 0o700),
            ):
                part.mkdir(exist_ok=True)
                part.chmod(mode)
        except OSError as error:
            raise self._not_here(error) from error
        self._check_traversable()

    def remove(self) -> None:
        """Remove the directory and all below it. Raises UsageError unless it carries fdr's marker."""
        if not self.directory.exists():
            return
        if self.directory.is_symlink() or not self.marker.is_file():
            raise UsageError(
                f"{self.directory}: is not a lake of fdr (no {MARKER} in it): nothing was removed"
            )
        shutil.rmtree(self.directory)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lake for one change at a time. Raises LakeUnusable when another process holds it."""
        self._check_path()
        try:
            self.directory.parent.mkdir(parents=True, exist_ok=True)
            file = self.lock_file.open("w")
        except OSError as error:
            raise self._not_here(error) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise LakeUnusable(
                    f"{self.directory}: another fdr is changing this lake: wait until it has ended"
                ) from error
            yield

    def _not_here(self, error: OSError) -> LakeUnusable:
        return LakeUnusable(
            f"{self.directory}: the lake cannot be kept here: {error.strerror}: name another directory with "
            "--dir or FDR_LAKE_DIR"
        )

    def _check_path(self) -> None:
        text = str(self.directory)
        if not PLAIN_PATH.fullmatch(text):
            raise LakeUnusable(
                f"{text!r}: the configuration files of the lake's services cannot hold this path: choose one "
                "of letters, digits and / . _ + - with --dir or FDR_LAKE_DIR"
            )
        longest = f"{self.postgres}/socket/.s.PGSQL.5432.lock"
        if len(longest) > SOCKET_PATH_LIMIT:
            room = SOCKET_PATH_LIMIT - len(longest) + len(text)
            raise LakeUnusable(
                f"{text}: too long for Unix sockets ({len(text)} characters, at most {room} fit): choose a "
                "shorter directory with --dir or FDR_LAKE_DIR"
            )

    def _check_traversable(self) -> None:
        if os.geteuid() != 0:
            return
        for parent in (self.directory, *self.directory.parents):
            if not parent.stat().st_mode & 0o001:
                raise LakeUnusable(
                    f"{parent}: the users postgres and xrootd, as which services of the lake run, cannot "
                    f"enter it: chmod o+x {parent}, or choose another directory with --dir or FDR_LAKE_DIR"
                )


def service_user(name: str) -> str | None:
    """Return the system user a service drops to: NAME when we are root, None (ourselves) otherwise.

    Raises LakeUnusable when root starts the lake and the user does not exist.
    """
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(name)
    except KeyError as error:
        raise LakeUnusable(f"the system user {name!r} is missing: run tools/install-system") from error
    return name
