"""What went wrong, the commonest first. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fdr.report.facts import timestamp

if TYPE_CHECKING:
    from fdr.metrics import Failure
    from fdr.report.facts import Facts


def section(facts: Facts) -> list[dict[str, Any]]:
    """Return every way of not ending well: how often, when first and last, and one example."""
    return [
        {
            "operation": failure.operation,
            "ending": failure.ending,
            "reason": failure.reason,
            "count": failure.count,
            "first": timestamp(failure.first),
            "last": timestamp(failure.last),
            "example": _example(failure, facts),
        }
        for failure in facts.metrics.failures
    ]


def _example(failure: Failure, facts: Facts) -> str:
    if failure.action is None:
        return failure.example
    did = facts.dids.get(failure.action)
    what = str(did) if did is not None else f"action {failure.action}"
    return f"{what}: {failure.example}" if failure.example else what
