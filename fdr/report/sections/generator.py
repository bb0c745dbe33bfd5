"""What fdr itself did and used: how far the other numbers can be trusted. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fdr.report.facts import told

if TYPE_CHECKING:
    from fdr.report.facts import Facts


def section(facts: Facts) -> dict[str, Any]:
    """Return lateness in seconds, CPU seconds, memory in bytes and requests; None if not measured."""
    lateness = facts.metrics.summary("upload.lateness")
    generator = facts.metrics.generator
    return {
        "lateness_p99": told(lateness.p99),
        "lateness_max": told(lateness.max),
        "lateness_sample": lateness.sample,
        "cpu_seconds": told(generator.cpu_seconds, 3),
        "memory_peak": generator.memory_peak,
        "requests": generator.requests,
    }
