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


def draws(key: bytes) -> Iterator[float]:
    """Yield a stream's draws from the first on, the same numbers as ``draw`` gives."""
    number = 0
    while True:
        for bits in _block(key, number):
            yield (bits >> SHIFT) * STEP + STEP / 2
        number += 1


def _block(key: bytes, number: int) -> tuple[int, ...]:
    return BLOCK.unpack(blake2b(number.to_bytes(8, "little"), digest_size=64, key=key).digest())
