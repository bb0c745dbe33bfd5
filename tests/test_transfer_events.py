"""What Rucio's transfer events say."""

from __future__ import annotations

import pytest

from fdr.model import Did
from fdr.transfer_events import FAILED_EVENTS, transfer_seen

PAYLOAD = {
    "activity": "Functional Test",
    "request-id": "d1c9a7d2b7a94d54a1b7b0e1f0b6a0f1",
    "duration": 2,
    "bytes": 2048,
    "protocol": "davs",
    "scope": "cta_fdr",
    "name": "20261122T203015-7f3a/CTA/000001.fits",
    "src-rse": "A",
    "dst-rse": "B",
    "reason": "",
    "created_at": "2026-11-22 20:30:15.123456",
    "submitted_at": "2026-11-22 20:30:18",
    "started_at": "2026-11-22 20:30:20",
    "transferred_at": "2026-11-22 20:30:22",
}


def test_a_done_transfer_tells_when_and_from_where_to_where() -> None:
    """Times are UTC; sizes and ends are taken over."""
    seen = transfer_seen({"event_type": "transfer-done", "payload": PAYLOAD}, 5.0)
    assert seen is not None
    assert (seen.done, seen.src_rse, seen.dst_rse, seen.size_bytes) == (True, "A", "B", 2048)
    assert seen.did == Did("cta_fdr", "20261122T203015-7f3a/CTA/000001.fits")
    assert (seen.created_at, seen.transferred_at) == (1795379415.123456, 1795379422.0)
    assert (seen.at, seen.reason) == (5.0, "")


@pytest.mark.parametrize("kind", sorted(FAILED_EVENTS))
def test_a_failed_transfer_tells_why(kind: str) -> None:
    """Without a reason the event's own kind stands for it."""
    with_reason = PAYLOAD | {"reason": "TRANSFER [5] broken", "transferred_at": None}
    seen = transfer_seen({"event_type": kind, "payload": with_reason}, 5.0)
    assert seen is not None
    assert (seen.done, seen.reason, seen.transferred_at) == (False, "TRANSFER [5] broken", None)
    silent = transfer_seen({"event_type": kind, "payload": PAYLOAD | {"reason": None}}, 5.0)
    assert silent is not None
    assert silent.reason == kind


@pytest.mark.parametrize("kind", ["transfer-queued", "transfer-submitted", "deletion-done", "create_dts"])
def test_other_events_end_no_transfer(kind: str) -> None:
    """Only what ends a transfer is counted."""
    assert transfer_seen({"event_type": kind, "payload": PAYLOAD}, 5.0) is None
