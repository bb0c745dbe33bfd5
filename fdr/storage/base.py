"""What fdr expects of a storage: bytes at an RSE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fdr.errors import LakeError
from fdr.payload import Payload


@dataclass(frozen=True, slots=True)
class Stat:
    """A file as a storage sees it; ``adler32`` is None unless it was asked for, or if it is not told."""

    size_bytes: int
    adler32: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a directory; ``size_bytes`` means something for files only."""

    name: str
    is_directory: bool
    size_bytes: int


class Storage(Protocol):
    """Files at URLs. Raises only LakeError. Never overwrites unless told to.

    Never retries: a retry is a new attempt, and the caller's. Refused means that the storage is as it was
    before, Unclear that it may not be. Every call ends within a time that the storage states.
    """

    async def put(self, payload: Payload, url: str, *, overwrite: bool = False) -> None:
        """Write a file and the directories above it; on return the storage has told its checksum.

        Raises Refused with reason ``exists`` when there is a file and ``overwrite`` is not set, and
        ``checksum`` when the storage ended up with other bytes, which were then removed.
        """

    async def stat(self, url: str, *, with_checksum: bool = False) -> Stat | None:
        """Return what is at a URL, None when there is nothing."""

    async def list(self, url: str) -> tuple[Entry, ...]:
        """Return the entries of one directory; raises Refused(``not-found``) when there is none."""

    async def delete(self, urls: Sequence[str]) -> Mapping[str, LakeError]:
        """Delete files and return what went wrong by URL; a file that is not there is deleted."""

    async def check_writable(self, url: str) -> None:
        """Put a small file at a URL and remove it again; raises LakeError when either fails."""

    async def close(self) -> None:
        """Let go of threads and connections; calls that are under way end first, or are abandoned."""
