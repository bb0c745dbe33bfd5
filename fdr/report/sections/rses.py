"""How full the RSEs became. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fdr.report.facts import Facts


def section(facts: Facts) -> list[dict[str, Any]]:
    """Return the scenario's RSEs and any other that was measured; bytes, None where nothing is known."""
    used = facts.metrics.rse_used_peak
    found = []
    for name in dict.fromkeys([*facts.rses, *used]):
        rse = facts.rses.get(name)
        found.append(
            {
                "rse": name,
                "qos": rse.qos if rse else None,
                "quota": rse.quota_bytes if rse else None,
                "used_peak": used.get(name),
                "watermark": rse.watermark_bytes if rse else None,
            }
        )
    return found
