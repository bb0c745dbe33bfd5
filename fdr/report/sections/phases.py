"""How long each phase took. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fdr.metrics import PHASES
from fdr.report.facts import told

if TYPE_CHECKING:
    from fdr.report.facts import Facts


def section(facts: Facts) -> list[dict[str, Any]]:
    """Return the percentiles of every phase in seconds; None where the sample cannot carry one."""
    found = []
    for phase in PHASES:
        summary = facts.metrics.summary(phase)
        found.append(
            {
                "phase": phase,
                "p50": told(summary.p50),
                "p95": told(summary.p95),
                "p99": told(summary.p99),
                "max": told(summary.max),
                "sample": summary.sample,
            }
        )
    return found
