"""Cut a stream of bytes into STOMP frames. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
NULL = b"\0"
LONGEST_HEADER = 64 * 1024


class FrameBuffer(Generic[T]):
    """Holds what has come of frames that are not whole yet, and gives those that are.

    It stands in for coilmq's own, which loses a connection when a frame's headers arrive in two pieces, as
    they do in every burst of events, and never forgets what it has read. Headers are kept as they came,
    escapes included: coilmq sends them on as they are. STOMP 1.2, "Augmented BNF".
    """

    def __init__(self, make: Callable[[str, dict[str, str], bytes], T]) -> None:
        """Take what makes a frame of command, headers and body."""
        self._make = make
        self._bytes = bytearray()

    def append(self, piece: bytes) -> None:
        """Take the next bytes of the stream, wherever they were cut."""
        self._bytes += piece

    def __iter__(self) -> Iterator[T]:
        """Give the frames that are whole. Raises ValueError when the stream is not STOMP."""
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> T | None:
        blank = len(self._bytes) - len(self._bytes.lstrip(b"\r\n"))
        del self._bytes[:blank]  # heartbeats
        ends = [(self._bytes.find(mark), len(mark)) for mark in (b"\n\n", b"\n\r\n")]
        found = [end for end in ends if end[0] >= 0]
        if not found:
            if len(self._bytes) > LONGEST_HEADER:
                raise ValueError("the headers of a STOMP frame do not end")
            return None
        place, length = min(found)
        command, *lines = self._bytes[:place].decode().replace("\r\n", "\n").rstrip("\r").split("\n")
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon:
                raise ValueError("a STOMP header has no colon")
            headers.setdefault(name, value)  # of a repeated header the first counts
        start = place + length
        end = self._end_of_body(start, headers)
        if end is None:
            return None
        body = bytes(self._bytes[start:end])
        del self._bytes[: end + 1]
        return self._make(command, headers, body)

    def _end_of_body(self, start: int, headers: dict[str, str]) -> int | None:
        """Return where the null after the body is, None when it has not come."""
        if "content-length" not in headers:
            end = self._bytes.find(NULL, start)
            return end if end >= 0 else None
        end = start + int(headers["content-length"])
        if len(self._bytes) <= end:
            return None
        if self._bytes[end : end + 1] != NULL:
            raise ValueError("a STOMP frame is longer than its content-length")
        return end
