"""Storages that gfal2 reaches: root://, davs:// and what else it has plugins for."""

from __future__ import annotations

import asyncio
import stat
import threading
from collections import defaultdict
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from fdr.errors import LakeError, Refused, Unclear
from fdr.payload import MEMORY_FILE_BYTES, Payload, memory_file
from fdr.storage.base import Entry, Stat
from fdr.storage.gfal_context import gfal_context, gfal_environment, load_gfal2
from fdr.storage.gfal_errors import NOT_REACHED, plain, reason_of, was_never_begun
from fdr.storage.served import PayloadServer
from fdr.storage.threads import StorageThreads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

__all__ = ["GfalStorage", "gfal_context", "gfal_environment", "load_gfal2"]

THREADS = 16
TIMEOUT_S = 60.0
SLOWEST_BYTES_PER_S = 1_000_000  # a put may take its size at this pace longer
DELETED_PER_CALL = 100
CHECK_BYTES = 64
UNDONE = frozenset({"checksum", "no-space"})  # what these leave behind is removed

T = TypeVar("T")


class GfalStorage:
    """All storages of a lake. Keeps the promises of ``fdr.storage.base.Storage``.

    Every storage, told apart by scheme, host and port, has threads of its own, ``threads`` at most, with
    one gfal2 context each: one that hangs costs only its own files. A call ends within ``timeout_s``, a
    put within that and a second for each megabyte; a call that finds no thread in that time is refused as
    ``busy``, one that gets no answer is Unclear, and its thread is lost until gfal2 gives up too (31 s in
    a TLS handshake, else ``timeout_s`` or two). Memory: ``MEMORY_FILE_BYTES`` a thread at most.
    """

    def __init__(
        self,
        threads: int = THREADS,
        x509_cert_dir: Path | None = None,
        bearer_token: str | None = None,
        timeout_s: float = TIMEOUT_S,
        *,
        loopback_only: bool = False,
    ) -> None:
        """Load gfal2, in its environment; raises LakeUnusable when it is not installed.

        The environment is the process's and is set once: see ``gfal_environment``, also for
        ``loopback_only``.
        """
        self._gfal2 = load_gfal2(gfal_environment(timeout_s, x509_cert_dir, loopback_only=loopback_only))
        self._threads = StorageThreads(threads)
        self._bearer_token = bearer_token
        self._timeout_s = timeout_s
        self._reached: set[str] = set()  # storages that answered, and have not broken off since
        self._of_thread = threading.local()
        self._large = PayloadServer()

    async def put(self, payload: Payload, url: str, *, overwrite: bool = False) -> None:
        """Write a file and the directories above it, and let the storage tell its checksum."""
        timeout_s = self._timeout_s + payload.size_bytes / SLOWEST_BYTES_PER_S
        await self._call(url, timeout_s, partial(self._put, payload, url, overwrite, timeout_s))

    async def stat(self, url: str, *, with_checksum: bool = False) -> Stat | None:
        """Return what is at a URL, None when there is nothing."""
        return await self._ask(url, partial(self._stat, url, with_checksum))

    async def list(self, url: str) -> tuple[Entry, ...]:
        """Return the entries of one directory."""
        return await self._ask(url, partial(self._list, url))

    async def delete(self, urls: Sequence[str]) -> dict[str, LakeError]:
        """Delete files, a hundred with one call, the storages beside each other."""
        of_storage: dict[str, list[str]] = defaultdict(list)
        for url in urls:
            of_storage[_storage_of(url)].append(url)
        failures = await asyncio.gather(*(self._delete_at_one(those) for those in of_storage.values()))
        return {url: error for failed in failures for url, error in failed.items()}

    async def check_writable(self, url: str) -> None:
        """Put a small file at a URL and remove it again."""
        await self.put(Payload(f"check {url}", CHECK_BYTES), url, overwrite=True)
        for error in (await self.delete([url])).values():
            raise error

    async def close(self) -> None:
        """Wait a few seconds for calls under way, then abandon them."""
        await self._threads.close()
        self._large.close()

    # --- the door to the threads ------------------------------------------------------------------

    async def _call(self, url: str, within_s: float, deed: Callable[[Any], T]) -> T:
        return await self._threads.call(_storage_of(url), within_s, lambda: deed(self._context()))

    async def _ask(self, url: str, question: Callable[[Any], T]) -> T:
        """Ask what changes nothing, so that every failure is a refusal."""
        try:
            return await self._call(url, self._timeout_s, question)
        except Unclear as error:
            raise Refused(error.reason, str(error)) from error

    def _context(self) -> Any:
        """Return this thread's own gfal2 context."""
        if not hasattr(self._of_thread, "context"):
            context = gfal_context(self._gfal2, self._timeout_s, self._bearer_token)
            # or a storage would be asked to pull large payloads from its own loopback
            context.set_opt_boolean("HTTP PLUGIN", "ENABLE_REMOTE_COPY", False)
            self._of_thread.context = context
        return self._of_thread.context

    # --- on a thread ------------------------------------------------------------------------------

    def _put(self, payload: Payload, url: str, overwrite: bool, timeout_s: float, context: Any) -> None:
        parameters = context.transfer_parameters()
        parameters.create_parent = True
        parameters.timeout = int(timeout_s) + 1
        parameters.set_checksum(self._gfal2.checksum_mode.target, "ADLER32", payload.adler32())
        self._check_connection(url, context)
        # XRootD would keep the checksum of a file that is written over within the second.
        replaced = overwrite and self._remove(url, context)
        with self._source(payload) as source:
            try:
                context.filecopy(parameters, source, url)
            except self._gfal2.GError as error:
                raise self._failed_put(url, replaced, error, context) from error

    def _check_connection(self, url: str, context: Any) -> None:
        """Refuse what cannot have an effect, for a storage that was not reached before or broke off.

        From a put's failure alone, a server that is down cannot be told from one that died half way.
        """
        if _storage_of(url) in self._reached:
            return
        try:
            context.stat(url)
        except self._gfal2.GError as error:
            reason, message = self._told(url, error)
            if reason in NOT_REACHED:
                raise Refused(reason, message) from error
        self._reached.add(_storage_of(url))

    def _source(self, payload: Payload) -> AbstractContextManager[str]:
        return memory_file(payload) if payload.size_bytes <= MEMORY_FILE_BYTES else self._large.offer(payload)

    def _failed_put(self, url: str, replaced: bool, error: Any, context: Any) -> LakeError:
        failure = self._ended(url, error)
        if failure.reason in NOT_REACHED:
            self._reached.discard(_storage_of(url))
        if failure.reason in UNDONE:
            try:
                self._remove(url, context)
            except LakeError:
                return failure
            failure = Refused(failure.reason, str(failure))
        return Unclear(failure.reason, str(failure)) if replaced else failure

    def _remove(self, url: str, context: Any) -> bool:
        """Remove a file and tell whether there was one."""
        try:
            context.unlink(url)
        except self._gfal2.GError as error:
            failure = self._ended(url, error)
            if failure.reason == "not-found":
                return False
            raise failure from error
        return True

    def _stat(self, url: str, with_checksum: bool, context: Any) -> Stat | None:
        try:
            found = context.stat(url)
            adler32 = context.checksum(url, "ADLER32") if with_checksum else None
        except self._gfal2.GError as error:
            reason, message = self._told(url, error)
            if reason == "not-found":
                return None
            raise Refused(reason, message) from error
        return Stat(found.st_size, adler32.lower().zfill(8) if adler32 else None)

    def _list(self, url: str, context: Any) -> tuple[Entry, ...]:
        try:
            return tuple(_entries(context.opendir(url)))
        except self._gfal2.GError as error:
            raise Refused(*self._told(url, error)) from error

    async def _delete_at_one(self, urls: Iterable[str]) -> dict[str, LakeError]:
        """Delete files of one storage."""
        failed: dict[str, LakeError] = {}
        left = iter(urls)
        while batch := list(islice(left, DELETED_PER_CALL)):
            try:
                failed |= await self._call(batch[0], self._timeout_s, partial(self._delete, batch))
            except LakeError as error:
                failed |= dict.fromkeys(batch, error)
        return failed

    def _delete(self, urls: Sequence[str], context: Any) -> dict[str, LakeError]:
        failed: dict[str, LakeError] = {}
        for url, error in zip(urls, context.unlink(list(urls)), strict=True):
            if error is None:
                continue
            failure = self._ended(url, error)
            if failure.reason != "not-found":
                failed[url] = failure
        return failed

    def _ended(self, url: str, error: Any) -> LakeError:
        """Translate how something that changes a storage failed."""
        reason, message = self._told(url, error)
        return (Refused if was_never_begun(reason, error.message) else Unclear)(reason, message)

    def _told(self, url: str, error: Any) -> tuple[str, str]:
        return reason_of(error.code, error.message), f"{url}: {plain(error.message, self._bearer_token)}"


def _storage_of(url: str) -> str:
    """Return scheme, host and port of a URL. It is asked several times a file: urlsplit does more."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _entries(directory: Any) -> Iterator[Entry]:
    while True:
        entry, found = directory.readpp()
        if not entry or not entry.d_name:
            return
        if entry.d_name not in {".", ".."}:
            yield Entry(entry.d_name, stat.S_ISDIR(found.st_mode), found.st_size)
