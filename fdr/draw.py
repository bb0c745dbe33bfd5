"""Seeded streams of numbers, each with a key of its own. Pure."""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# One hash of 64 bytes gives eight draws, which makes a draw cheap when they are taken in order.
DRAWS_A_BLOCK = 8
BLOCK = struct.Struct("<8Q")
# A float holds 52 bits and a half step exactly; the half keeps a draw off 0 and 1, where logarithms end.
SHIFT = 12
STEP = 2.0**-52


def stream_key(seed: int, *names: str) -> bytes:
    """Name a stream: the same seed and names give the same draws, any other ones give unrelated draws."""
    text = "\0".join([str(seed), *(f"{len(name)}:{name}" for name in names)])
    return blake2b(text.encode(), digest_size=32).digest()


def draw(key: bytes, index: int) -> float:
    """Return draw number ``index`` of a stream: uniform, above 0 and below 1, without the ones before it."""
    return (_block(key, index // DRAWS_A_BLOCK)[index % DRAWS_A_BLOCK] >> SHIFT) * STEP + STEP / 2


def stream_within(key: bytes, index: int) -> bytes:
    """Name one of any number of streams below a stream, unrelated to it and to each other."""
    return blake2b(index.to_bytes(8, "little"), digest_size=32, key=key).digest()


def draws(key: bytes, first: int = 0) -> Iterator[float]:
    """Yield a stream's draws from the one numbered ``first`` on, the same numbers as ``draw`` gives."""
    number, passed_over = divmod(first, DRAWS_A_BLOCK)
    while True:
        for bits in _block(key, number)[passed_over:]:
            yield (bits >> SHIFT) * STEP + STEP / 2
        number, passed_over = number + 1, 0


def _block(key: bytes, number: int) -> tuple[int, ...]:
    return BLOCK.unpack(blake2b(number.to_bytes(8, "little"), digest_size=64, key=key).digest())
