"""What Rucio moved, from where to where. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fdr.report.facts import told

if TYPE_CHECKING:
    from fdr.report.facts import Facts


def section(facts: Facts) -> dict[str, Any]:
    """Return transfers done and failed, in all and per link; bytes are those of transfers done."""
    links = facts.metrics.links
    return {
        "done": sum(link.done for link in links),
        "failed": sum(link.failed for link in links),
        "bytes": sum(link.bytes for link in links),
        "events_lost": bool(facts.metrics.noted("events-lost")),
        "matrix": [
            {
                "src": link.src,
                "dst": link.dst,
                "done": link.done,
                "failed": link.failed,
                "bytes": link.bytes,
                "bytes_per_second": told(link.bytes_per_second, 1),
            }
            for link in links
        ],
    }
