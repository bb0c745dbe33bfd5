"""What the last audit of the run came to. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fdr.report.facts import timestamp

if TYPE_CHECKING:
    from fdr.report.facts import Facts


def section(facts: Facts) -> dict[str, Any] | None:
    """Return its counts, None where the run was not audited since it last went on."""
    audit = facts.metrics.audit
    return None if audit is None else asdict(audit) | {"at": timestamp(audit.at)}
