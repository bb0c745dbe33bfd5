"""Files due and files registered over time. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fdr.report.facts import timestamp

if TYPE_CHECKING:
    from fdr.report.facts import Facts


def section(facts: Facts) -> dict[str, Any]:
    """Return counts per bucket and experiment; bucket k begins k times ``width_s`` after ``begin``."""
    line = facts.metrics.timeline
    return {
        "begin": timestamp(line.begin),
        "width_s": line.width_s,
        "experiments": {
            name: {"due": list(due), "registered": list(line.registered[name])}
            for name, due in line.due.items()
        },
    }
