"""What each service of the lake used. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fdr.report.facts import told

if TYPE_CHECKING:
    from fdr.report.facts import Facts


def section(facts: Facts) -> list[dict[str, Any]]:
    """Return CPU in cores, memory in bytes and restarts of every service that was sampled."""
    return [
        {
            "service": use.service,
            "cpu_mean": told(use.cpu_mean, 4),
            "cpu_peak": told(use.cpu_peak, 4),
            "memory_mean": round(use.memory_mean),
            "memory_peak": use.memory_peak,
            "restarts": use.restarts,
        }
        for use in facts.metrics.services
    ]
