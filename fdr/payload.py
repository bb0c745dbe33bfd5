"""A file's bytes and adler32 from its key, without a disk.

A payload is a header of its own, then one block that all payloads of the process share, repeated. So a
payload of any size costs no memory, and its checksum is computed without going through its bytes.
"""

from __future__ import annotations

import functools
import os
import random
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK_BYTES = 1 << 20
HEADER_BYTES = 64
MEMORY_FILE_BYTES = 16 << 20  # the largest payload that is ever held in memory
ADLER_MODULUS = 65521


@dataclass(frozen=True, slots=True)
class Payload:
    """The bytes of one file: the same for the same key and size, different for another key.

    Two payloads differ in their first 64 bytes; of those shorter than that, some must be alike (a file of
    one byte is one of 256).
    """

    key: str
    size_bytes: int

    def adler32(self) -> str:
        """Return the adler32 of the bytes as Rucio writes it, eight hexadecimal digits."""
        header = self._header()
        blocks, rest_bytes = divmod(self.size_bytes - len(header), BLOCK_BYTES)
        value = zlib.adler32(header)
        value = adler32_combine(value, _adler32_of_blocks(blocks), blocks * BLOCK_BYTES)
        return f"{zlib.adler32(memoryview(_block())[:rest_bytes], value):08x}"

    def chunks(self, at_most_bytes: int = BLOCK_BYTES) -> Iterator[memoryview]:
        """Yield the bytes in order, in pieces of this size at most; the pieces share memory."""
        header = memoryview(self._header())
        for start in range(0, len(header), at_most_bytes):
            yield header[start : start + at_most_bytes]
        block = memoryview(_block())
        left = self.size_bytes - len(header)
        while left > 0:
            turn = block[:left]
            for start in range(0, len(turn), at_most_bytes):
                yield turn[start : start + at_most_bytes]
            left -= len(turn)

    def _header(self) -> bytes:
        return blake2b(self.key.encode(), digest_size=HEADER_BYTES).digest()[: self.size_bytes]


@contextmanager
def memory_file(payload: Payload) -> Iterator[str]:
    """Hold a payload in memory as a file that gfal2 can copy, and yield its file:// URL.

    The payload must not be larger than MEMORY_FILE_BYTES.
    """
    if payload.size_bytes > MEMORY_FILE_BYTES:
        raise ValueError(f"a payload of {payload.size_bytes} bytes is not held in memory")
    descriptor = os.memfd_create("fdr-payload")
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            for chunk in payload.chunks():
                file.write(chunk)
        yield f"file:///proc/{os.getpid()}/fd/{descriptor}"
    finally:
        os.close(descriptor)


def adler32_combine(first: int, second: int, second_bytes: int) -> int:
    """Return the adler32 of two byte strings joined, from theirs and the length of the second.

    RFC 1950, section 8: the low half is A = 1 + sum of the bytes, the high half B = sum of all A, both
    modulo 65521. Joined, A = A1 + A2 - 1, and every A of the second string grows by A1 - 1:
    B = B1 + B2 + second_bytes * (A1 - 1).
    """
    first_a, first_b = first & 0xFFFF, first >> 16
    second_a, second_b = second & 0xFFFF, second >> 16
    joined_a = (first_a + second_a - 1) % ADLER_MODULUS
    joined_b = (first_b + second_b + second_bytes * (first_a - 1)) % ADLER_MODULUS
    return joined_b << 16 | joined_a


@functools.cache
def _block() -> bytes:
    return random.Random("fdr payload").randbytes(BLOCK_BYTES)


@functools.cache
def _adler32_of_block() -> int:
    return zlib.adler32(_block())


def _adler32_of_blocks(count: int) -> int:
    """Return the adler32 of so many blocks in a row, in steps that double."""
    value, power, power_bytes = zlib.adler32(b""), _adler32_of_block(), BLOCK_BYTES
    while count:
        if count & 1:
            value = adler32_combine(value, power, power_bytes)
        power = adler32_combine(power, power, power_bytes)
        power_bytes *= 2
        count >>= 1
    return value
