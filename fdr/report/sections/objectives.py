"""What was asked of the run, and what it came to. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fdr.report.facts import told

if TYPE_CHECKING:
    from fdr.report.facts import Facts


def section(facts: Facts) -> list[dict[str, Any]]:
    """Return every objective with what was observed, in its unit: a ratio, seconds or a count."""
    return [
        {
            "text": judgement.text,
            "observed": told(judgement.observed, 9),
            "unit": judgement.unit.value,
            "sample": judgement.sample,
            "verdict": judgement.verdict.value,
            "why": judgement.why,
        }
        for judgement in facts.judgements
    ]
