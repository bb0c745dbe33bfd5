"""Copy one file with gfal2, check it, and say in FTS3's words how it ended.

The order of the steps and the scope each failure is reported under (SOURCE, DESTINATION, TRANSFER) are
those of FTS3; the texts are gfal2's own.
"""

from __future__ import annotations

import errno
import math
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import gfal2

from fdr.lake.fts.job import Ending
from fdr.lake.fts.order import Order, Report
from fdr.lake.fts.urls import is_same_file

SECONDS_PER_MIB = 2
CHUNK_BYTES = 4 * 2**20
CHECKSUM_ERROR = "CheckSum error"
SAME_FILE = "Source and destination are the same file; nothing was copied and nothing was deleted"
FILE_EXISTS = "Destination file exists and overwrite is not enabled"
SIZE_MISMATCH = "Source and destination file size mismatch"
# What retrying cannot mend, by error number; FTS3 keeps such lists per scope.
LASTING = {errno.ENOENT, errno.EPERM, errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG}
LASTING |= {errno.ENOSPC, errno.EPROTONOSUPPORT, errno.ENOTDIR, errno.EROFS, errno.ECANCELED}


class Failure(Exception):
    """A copy that did not succeed: scope, error number and text, as FTS3 writes them."""

    def __init__(self, scope: str, code: int, message: str) -> None:
        """Take the scope, the error number and the text."""
        super().__init__(f"{scope} [{code}] {message}")
        self.is_recoverable = code not in LASTING


class Progress:
    """How far a copy is: told on the way, and kept for the ending."""

    def __init__(self, tell: Callable[[Report], None]) -> None:
        """Take what is told."""
        self._tell = tell
        self._begun: float | None = None
        self.filesize = 0
        self.transfer_type: str | None = None

    def found(self, filesize: int) -> None:
        """Note that the source was seen; the destination comes next."""
        self.filesize = filesize
        self._tell(Report("DESTINATION"))

    def begin(self, timeout_s: int) -> None:
        """Note that the copy itself begins."""
        self._begun = time.monotonic()
        self._tell(Report("TRANSFER", self.filesize, timeout_s))

    def event(self, event: Any) -> None:
        """Take an event of gfal2; one of them says which way the bytes go."""
        if str(event.stage) == "TRANSFER:TYPE":
            self.transfer_type = str(event.description)

    def ending(self, reason: str = "", is_recoverable: bool = False) -> Ending:
        """Return how the copy ended, now."""
        duration_s = 0.0 if self._begun is None else time.monotonic() - self._begun
        return Ending(reason, is_recoverable, self.filesize, duration_s, self.transfer_type)


def carry_out(context: Any, order: Order, tell: Callable[[Report], None]) -> Ending:
    """Copy a file and return how it ended; ``tell`` is called at each step on the way."""
    progress = Progress(tell)
    try:
        _copy(context, order, progress)
    except Failure as failure:
        return progress.ending(str(failure), failure.is_recoverable)
    return progress.ending()


def _copy(context: Any, order: Order, progress: Progress) -> None:
    if is_same_file(order.source, order.destination):
        raise Failure("TRANSFER", errno.EDEADLK, SAME_FILE)
    progress.found(_call("SOURCE", context.stat, order.source).st_size)
    exists = _exists(context, order.destination)
    if exists and not order.overwrite:
        raise Failure("DESTINATION", errno.EEXIST, FILE_EXISTS)
    timeout_s = order.timeout_s + math.ceil(SECONDS_PER_MIB * progress.filesize / 2**20)
    progress.begin(timeout_s)
    if order.streamed and _schemes(order) == {"root"}:
        _stream(context, order, progress, replaces=exists)
    else:
        _filecopy(context, order, progress, timeout_s, replaces=exists)
    if _call("DESTINATION", context.stat, order.destination).st_size != progress.filesize:
        raise Failure("DESTINATION", errno.EINVAL, SIZE_MISMATCH)


def _exists(context: Any, url: str) -> bool:
    try:
        _call("DESTINATION", context.stat, url)
    except Failure as failure:
        if f"[{errno.ENOENT}]" in str(failure):
            return False
        raise
    return True


def _filecopy(context: Any, order: Order, progress: Progress, timeout_s: int, replaces: bool) -> None:
    """Let gfal2 copy: between the storages, or through here where the context says so."""
    parameters = context.transfer_parameters()
    parameters.timeout = timeout_s
    parameters.overwrite = replaces
    parameters.create_parent = True
    parameters.event_callback = progress.event
    if _schemes(order) == {"root"}:
        progress.transfer_type = "3rd pull"  # XRootD knows no other, and gfal2 does not say
    modes = {"b": gfal2.checksum_mode.both, "s": gfal2.checksum_mode.source, "t": gfal2.checksum_mode.target}
    if order.verify in modes:
        algorithm, _, value = order.checksum.partition(":")
        parameters.set_checksum(modes[order.verify], algorithm, value)
    try:
        _call("TRANSFER", context.filecopy, parameters, order.source, order.destination)
    except Failure as failure:
        if "checksum" in str(failure).lower():
            _remove(context, order.destination)
        raise


def _stream(context: Any, order: Order, progress: Progress, replaces: bool) -> None:
    """Read the source and write the destination; gfal2 itself streams http only."""
    progress.transfer_type = "streamed"
    parent = order.destination.rsplit("/", 1)[0]
    _call("DESTINATION", context.mkdir_rec, parent, 0o755)
    source = _call("SOURCE", context.open, order.source, "r")
    if replaces:
        _call("DESTINATION", context.unlink, order.destination)
    destination = _call("DESTINATION", context.open, order.destination, "w")
    adler32 = 1
    try:
        while chunk := _call("SOURCE", source.read_bytes, CHUNK_BYTES):
            adler32 = zlib.adler32(chunk, adler32)
            _call("DESTINATION", destination.write, chunk)
        del source, destination  # closes them
        _compare(context, order, f"{adler32:08x}")
    except Failure:
        _remove(context, order.destination)
        raise


def _compare(context: Any, order: Order, read_adler32: str) -> None:
    """Raise Failure where the checksums that are to be compared differ."""
    if order.verify not in ("b", "t"):
        return
    algorithm, _, given = order.checksum.partition(":")
    if order.verify == "b" and algorithm.upper() == "ADLER32" and given and not _same(given, read_adler32):
        raise Failure("TRANSFER", errno.EILSEQ, f"{CHECKSUM_ERROR} (source)")
    found = _call("TRANSFER", context.checksum, order.destination, algorithm)
    if not _same(found, given or read_adler32):
        raise Failure("TRANSFER", errno.EILSEQ, f"{CHECKSUM_ERROR} (destination)")


def _same(one: str, other: str) -> bool:
    return one.lower().lstrip("0") == other.lower().lstrip("0")


def _remove(context: Any, url: str) -> None:
    with suppress(gfal2.GError):
        context.unlink(url)


def _schemes(order: Order) -> set[str]:
    return {urlsplit(order.source).scheme, urlsplit(order.destination).scheme}


def _call(scope: str, call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except gfal2.GError as error:
        raise Failure(scope, error.code, error.message) from error
