"""Look at files on the storages: many at once, and not for long at one that does not answer."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict

from fdr.audit.compare import Bytes
from fdr.errors import LakeError, Refused
from fdr.storage.base import Storage

AT_ONCE = 16  # files of one RSE
GIVEN_UP_AFTER = 3  # looks in a row that the RSE did not answer
NO_ANSWER = frozenset(
    {"timeout", "busy", "connection-refused", "communication", "unknown-host", "unreachable", "tls"}
)


class Lookout:
    """Asks storages for the size and adler32 of files, ``AT_ONCE`` at each RSE.

    An RSE that has not answered ``GIVEN_UP_AFTER`` times in a row is not asked again.
    """

    def __init__(self, storage: Storage) -> None:
        """Take the storages; none has been asked yet."""
        self._storage = storage
        self._turns: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(AT_ONCE))
        self._silent: Counter[str] = Counter()
        self._given_up: dict[str, LakeError] = {}

    async def look(self, rse: str, url: str) -> Bytes | None:
        """Return what lies at a URL, None for nothing; raises LakeError when that cannot be told."""
        async with self._turns[rse]:
            if rse in self._given_up:
                raise self._given_up[rse]
            try:
                found = await self._storage.stat(url, with_checksum=True)
            except LakeError as error:
                self._note_silence(rse, error)
                raise
        self._silent[rse] = 0
        if found is None:
            return None
        if found.adler32 is None:
            raise Refused("no-checksum", f"{url}: the storage tells no adler32")
        return Bytes(found.size_bytes, found.adler32)

    def _note_silence(self, rse: str, error: LakeError) -> None:
        self._silent[rse] = self._silent[rse] + 1 if error.reason in NO_ANSWER else 0
        if self._silent[rse] >= GIVEN_UP_AFTER:
            self._given_up[rse] = error
