"""Promises of payloads."""

from __future__ import annotations

import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdr.payload import (
    BLOCK_BYTES,
    HEADER_BYTES,
    MEMORY_FILE_BYTES,
    Payload,
    adler32_combine,
    memory_file,
)

EDGES = (0, 1, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 1, HEADER_BYTES + BLOCK_BYTES, 3 * BLOCK_BYTES)
SIZES = st.sampled_from(EDGES) | st.integers(0, 5 * BLOCK_BYTES)


def content(payload: Payload) -> bytes:
    """Return all of a payload's bytes."""
    return b"".join(payload.chunks())


@given(key=st.text(), size_bytes=SIZES)
@settings(max_examples=60, deadline=None)
def test_the_checksum_and_the_size_are_those_of_the_bytes(key: str, size_bytes: int) -> None:
    """The adler32 that was combined is the one that zlib reads, and there are as many bytes as said."""
    payload = Payload(key, size_bytes)
    read = content(payload)
    assert len(read) == size_bytes
    assert payload.adler32() == f"{zlib.adler32(read):08x}"


@given(size_bytes=st.integers(0, 2 * BLOCK_BYTES), at_most=st.integers(1000, 2 * BLOCK_BYTES))
@settings(max_examples=40, deadline=None)
def test_the_pieces_may_be_of_any_size(size_bytes: int, at_most: int) -> None:
    """Whatever the size of the pieces, none is larger and together they are the same bytes."""
    payload = Payload("piecewise", size_bytes)
    pieces = list(payload.chunks(at_most))
    assert all(0 < len(piece) <= at_most for piece in pieces)
    assert b"".join(pieces) == content(payload)


@given(first=st.binary(max_size=2000), second=st.binary(max_size=2000))
def test_checksums_combine_to_that_of_the_whole(first: bytes, second: bytes) -> None:
    """Two checksums and a length are enough."""
    joined = adler32_combine(zlib.adler32(first), zlib.adler32(second), len(second))
    assert joined == zlib.adler32(first + second)


@given(size_bytes=SIZES)
@settings(max_examples=20, deadline=None)
def test_the_same_key_gives_the_same_bytes(size_bytes: int) -> None:
    """A file can be made again, by anybody."""
    assert content(Payload("one", size_bytes)) == content(Payload("one", size_bytes))


def test_files_of_different_keys_differ() -> None:
    """Of ten thousand small files no two are alike."""
    assert len({content(Payload(f"7/cta/{index}", 16)) for index in range(10_000)}) == 10_000


def test_files_of_one_byte_take_every_value() -> None:
    """Where there is no room for a header, the files still vary."""
    assert len({content(Payload(str(index), 1)) for index in range(5000)}) == 256


def test_the_bytes_of_a_key_do_not_change_between_versions() -> None:
    """A file written by an earlier fdr is recognised: this checksum was computed from its bytes once."""
    assert Payload("golden", 3 * BLOCK_BYTES + 12345).adler32() == "587bc8b1"


def test_a_large_file_costs_no_memory() -> None:
    """Five gigabytes: the checksum and the pieces in less than four blocks."""
    payload = Payload("large", 5_000_000_000)
    payload.adler32()
    tracemalloc.start()
    try:
        payload.adler32()
        assert sum(len(piece) for piece in payload.chunks()) == 5_000_000_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * BLOCK_BYTES


@pytest.mark.parametrize("size_bytes", [0, 1, 1000, BLOCK_BYTES + 1])
def test_a_memory_file_holds_the_payload_while_it_is_open(size_bytes: int) -> None:
    """What is read through the URL is the payload; afterwards nothing is there."""
    payload = Payload("held", size_bytes)
    with memory_file(payload) as url:
        path = Path(url.removeprefix("file://"))
        assert path.read_bytes() == content(payload)
    assert not path.exists()


def test_a_payload_too_large_for_memory_is_refused() -> None:
    """The bound on memory holds, whoever calls."""
    with (
        pytest.raises(ValueError, match="not held in memory"),
        memory_file(Payload("k", MEMORY_FILE_BYTES + 1)),
    ):
        pass
