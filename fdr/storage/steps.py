"""Each thing that one does to a file at a storage, by itself: to see which of them work."""

from __future__ import annotations

from functools import partial
from typing import Any

from fdr.errors import Refused
from fdr.payload import Payload
from fdr.storage.gfal import SLOWEST_BYTES_PER_S, GfalStorage

READ_BYTES = 1 << 20


class GfalSteps(GfalStorage):
    """Storages that gfal2 reaches, asked for one thing a call, where a GfalStorage does what an upload needs.

    Raises only LakeError. A call ends within the time of the storage, a put and a reading within that and a
    second for each megabyte.
    """

    async def put_only(self, payload: Payload, url: str) -> None:
        """Write a file and the directories above it, without asking for its checksum.

        Raises Refused where the storage is as it was before, Unclear where it may not be: with reason
        ``timeout`` the put may still go on.
        """
        timeout_s = self._within(payload)
        await self._call(url, timeout_s, partial(self._put_only, payload, url, timeout_s))

    async def size(self, url: str) -> int:
        """Return the size of a file in bytes; raises Refused, with ``not-found`` where there is none."""
        found = await self.stat(url)
        if found is None:
            raise Refused("not-found", f"{url}: is not there")
        return found.size_bytes

    async def adler32(self, url: str) -> str:
        """Return the adler32 that the storage tells of a file, eight hexadecimal digits; raises Refused."""
        return await self._ask(url, partial(self._adler32, url))

    async def compare(self, payload: Payload, url: str) -> None:
        """Read a file; raises Refused, with ``content`` where it does not hold these bytes."""
        await self._call(url, self._within(payload), partial(self._compare, payload, url))

    async def remove_directory(self, url: str) -> None:
        """Remove a directory; one that is not there is removed. Raises Refused or Unclear.

        A storage that speaks WebDAV may remove what is in it, too: it must be the caller's alone.
        """
        await self._call(url, self._timeout_s, partial(self._remove_directory, url))

    def _within(self, payload: Payload) -> float:
        return self._timeout_s + payload.size_bytes / SLOWEST_BYTES_PER_S

    # --- on a thread ------------------------------------------------------------------------------

    def _put_only(self, payload: Payload, url: str, timeout_s: float, context: Any) -> None:
        parameters = context.transfer_parameters()
        parameters.create_parent = True
        parameters.timeout = int(timeout_s) + 1
        self._check_connection(url, context)
        with self._source(payload) as source:
            try:
                context.filecopy(parameters, source, url)
            except self._gfal2.GError as error:
                raise self._ended(url, error) from error

    def _adler32(self, url: str, context: Any) -> str:
        try:
            told: str = context.checksum(url, "ADLER32")
        except self._gfal2.GError as error:
            raise Refused(*self._told(url, error)) from error
        return told.lower().zfill(8)

    def _compare(self, payload: Payload, url: str, context: Any) -> None:
        read_bytes = 0
        try:
            file = context.open(url, "r")
            for wanted in payload.chunks(READ_BYTES):
                found = _exactly(file, len(wanted))
                if found != wanted:
                    where = read_bytes + _same(found, wanted)
                    raise Refused("content", f"{url}: what was read differs from byte {where} on")
                read_bytes += len(found)
            if file.read_bytes(1):
                raise Refused("content", f"{url}: more than {read_bytes} bytes were read")
        except self._gfal2.GError as error:
            raise Refused(*self._told(url, error)) from error

    def _remove_directory(self, url: str, context: Any) -> None:
        try:
            context.rmdir(url)
        except self._gfal2.GError as error:
            failure = self._ended(url, error)
            if failure.reason != "not-found":
                raise failure from error


def _exactly(file: Any, size_bytes: int) -> bytes:
    """Read so many bytes, or those that are left."""
    parts: list[bytes] = []
    while size_bytes > 0 and (part := file.read_bytes(size_bytes)):
        parts.append(part)
        size_bytes -= len(part)
    return b"".join(parts)


def _same(one: bytes, other: memoryview) -> int:
    """Return how many bytes are the same at the beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
