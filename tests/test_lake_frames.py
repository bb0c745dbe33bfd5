"""STOMP frames come whole out of a stream, wherever the network cut it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdr.lake.keeper.frames import FrameBuffer

Frame = tuple[str, dict[str, str], bytes]
TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\n\r\0:", exclude_categories=["Cs"]), min_size=1
)
FRAMES = st.lists(
    st.tuples(
        st.sampled_from(["SEND", "MESSAGE", "CONNECT"]),
        st.dictionaries(TEXT.filter(lambda name: name != "content-length"), TEXT, max_size=4),
        st.binary(max_size=200),
    ),
    max_size=6,
)


def buffer() -> FrameBuffer[Frame]:
    """Return a buffer that gives plain tuples."""
    return FrameBuffer(lambda command, headers, body: (command, headers, body))


def packed(frame: Frame, end_of_line: str = "\n") -> bytes:
    """Return a frame as it goes over the wire, with its length."""
    command, headers, body = frame
    lines = [
        command,
        *(f"{name}:{value}" for name, value in headers.items()),
        f"content-length:{len(body)}",
        "",
        "",
    ]
    return end_of_line.join(lines).encode() + body + b"\0"


@given(FRAMES, st.integers(1, 50), st.sampled_from(["\n", "\r\n"]), st.sampled_from([b"", b"\n", b"\r\n\n"]))
def test_frames_are_the_same_wherever_the_stream_is_cut(
    frames: list[Frame], step: int, end_of_line: str, heartbeat: bytes
) -> None:
    """In pieces of any length, with heartbeats between frames, and nulls in the bodies."""
    stream = heartbeat.join(packed(frame, end_of_line) for frame in frames)
    read = buffer()
    found = []
    for place in range(0, len(stream), step):
        read.append(stream[place : place + step])
        found += list(read)
    assert [(command, {**headers}, body) for command, headers, body in found] == [
        (command, {**headers, "content-length": str(len(body))}, body) for command, headers, body in frames
    ]


def test_without_a_length_a_body_ends_at_its_null() -> None:
    """And the next frame begins after it."""
    read = buffer()
    read.append(b"SEND\na:b:c\n\nhello\0\nDISCONN")
    assert list(read) == [("SEND", {"a": "b:c"}, b"hello")]
    read.append(b"ECT\n\n\0")
    assert list(read) == [("DISCONNECT", {}, b"")]


def test_what_was_read_is_forgotten() -> None:
    """A broker that runs for a day must not keep the day."""
    read = buffer()
    for _ in range(1000):
        read.append(packed(("SEND", {}, b"x" * 1000)))
        assert len(list(read)) == 1
    assert len(read._bytes) == 0


@pytest.mark.parametrize(
    "stream", [b"GET / HTTP/1.1\nno colon here\n\n", b"SEND\ncontent-length:1\n\nxyz\0", b"x" * 70000]
)
def test_what_is_not_stomp_is_refused(stream: bytes) -> None:
    """Rather than read on for ever."""
    read = buffer()
    read.append(stream)
    with pytest.raises(ValueError, match="STOMP"):
        list(read)
