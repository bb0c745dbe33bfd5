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
CHECKSUM_MODES = {
    "b": gfal2.checksum_mode.both,
    "s": gfal2.checksum_mode.source,
    "t": gfal2.checksum_mode.target,
}
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


class _Unanswered(Failure):
    """A question that timed out."""


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
    if not order.overwrite and _exists(context, order.destination):
        raise Failure("DESTINATION", errno.EEXIST, FILE_EXISTS)
    timeout_s = order.timeout_s + math.ceil(SECONDS_PER_MIB * progress.filesize / 2**20)
    progress.begin(timeout_s)
    schemes = {urlsplit(order.source).scheme, urlsplit(order.destination).scheme}
    if schemes == {"root"} and order.streamed:
        _stream(context, order, progress)
    elif schemes == {"root"}:
        _copy_root(context, order, progress, timeout_s)
    else:
        _copy_web(context, order, progress, timeout_s)
    if _call_twice("DESTINATION", context.stat, order.destination).st_size != progress.filesize:
        raise Failure("DESTINATION", errno.EINVAL, SIZE_MISMATCH)


def _exists(context: Any, url: str) -> bool:
    try:
        _call("DESTINATION", context.stat, url)
    except Failure as failure:
        if f"[{errno.ENOENT}]" in str(failure):
            return False
        raise
    return True


def _copy_root(context: Any, order: Order, progress: Progress, timeout_s: int) -> None:
    """Have the destination pull over root://; gfal2 compares the checksums, as it does for FTS3."""
    parameters = context.transfer_parameters()
    parameters.timeout = timeout_s
    parameters.overwrite = order.overwrite
    parameters.create_parent = True
    progress.transfer_type = "3rd pull"  # XRootD knows no other, and gfal2 does not say
    if order.verify in CHECKSUM_MODES:
        algorithm, _, given = order.checksum.partition(":")
        parameters.set_checksum(CHECKSUM_MODES[order.verify], algorithm, given)
    try:
        _call("TRANSFER", context.filecopy, parameters, order.source, order.destination)
    except Failure as failure:
        if "checksum" in str(failure).lower():
            _remove(context, order.destination)
        raise


def _copy_web(context: Any, order: Order, progress: Progress, timeout_s: int) -> None:
    """Copy over http: between the storages, or through here where the context says so.

    In its strict mode gfal2 makes the copy and nothing else. Otherwise it asks before each copy for a
    destination and parents that are mostly not there; XRootD answers each such question by closing the
    connection, which costs a TLS handshake, and in 5.5.3 now and then the life of the server. It replaces
    what is there by itself; parents it makes for an upload, and for one MKCOL where it is to pull.
    """
    if not order.streamed:
        _make_parents(context, order.destination)
    parameters = context.transfer_parameters()
    parameters.timeout = timeout_s
    parameters.overwrite = order.overwrite
    parameters.strict_copy = True
    parameters.event_callback = progress.event
    algorithm, _, given = order.checksum.partition(":")
    at_source = given
    if order.verify in ("b", "s"):
        at_source = _call("TRANSFER", context.checksum, order.source, algorithm)
        if given:
            _expect_same("SOURCE", "Source and user-defined", algorithm, at_source, given)
    _call("TRANSFER", context.filecopy, parameters, order.source, order.destination)
    if order.verify not in ("b", "t"):
        return
    try:
        at_destination = _call_twice("TRANSFER", context.checksum, order.destination, algorithm)
        if order.verify == "b":
            _expect_same("DESTINATION", "Source and destination", algorithm, at_source, at_destination)
        elif given:
            _expect_same("DESTINATION", "User-defined and destination", algorithm, given, at_destination)
    except Failure:
        _remove(context, order.destination)
        raise


def _make_parents(context: Any, url: str) -> None:
    try:
        context.mkdir(url.rsplit("/", 1)[0], 0o755)
    except gfal2.GError as error:
        if error.code != errno.EEXIST:
            raise Failure("DESTINATION", error.code, error.message) from error


def _stream(context: Any, order: Order, progress: Progress) -> None:
    """Read the source and write the destination over root://; gfal2 itself streams http only."""
    progress.transfer_type = "streamed"
    _call("DESTINATION", context.mkdir_rec, order.destination.rsplit("/", 1)[0], 0o755)
    source = _call("SOURCE", context.open, order.source, "r")
    if order.overwrite:
        _remove(context, order.destination)
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
    if order.verify == "b" and algorithm.upper() == "ADLER32" and given:
        _expect_same("SOURCE", "Source and user-defined", algorithm, read_adler32, given)
    found = _call("TRANSFER", context.checksum, order.destination, algorithm)
    wanted = given or read_adler32
    _expect_same("DESTINATION", "User-defined and destination", algorithm, wanted, found)


def _expect_same(side: str, which: str, algorithm: str, one: str, other: str) -> None:
    if one.lower().lstrip("0") != other.lower().lstrip("0"):
        raise Failure(
            "TRANSFER",
            errno.EIO,
            f"{side} CHECKSUM MISMATCH {which} {algorithm} do not match ({one} != {other})",
        )


def _remove(context: Any, url: str) -> None:
    with suppress(gfal2.GError):
        context.unlink(url)


def _call_twice(scope: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """Ask once more when no answer came: XRootD 5.5.3 now and then overlooks a request on a kept connection.

    For questions about a copy that is there already; it would be a pity to throw it away.
    """
    with suppress(_Unanswered):
        return _call(scope, call, *arguments)
    return _call(scope, call, *arguments)


def _call(scope: str, call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except gfal2.GError as error:
        kind = _Unanswered if error.code == errno.ETIMEDOUT else Failure
        raise kind(scope, error.code, error.message) from error
