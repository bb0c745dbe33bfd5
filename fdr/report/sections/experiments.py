"""Intended against achieved, per experiment, with what is missing attributed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fdr.metrics import ExperimentMetrics
    from fdr.report.facts import Facts


def section(facts: Facts) -> dict[str, Any]:
    """Return files, bytes, datasets and rules of every experiment.

    Files planned are the sum of ok, failed, unknown, dropped and not_reached; the shortfall splits what
    is not ok.
    """
    return {name: _experiment(found) for name, found in facts.metrics.experiments.items()}


def _experiment(found: ExperimentMetrics) -> dict[str, Any]:
    planned, files, rules = found.planned, found.files, found.rules
    tried = rules.added + rules.failed + rules.unknown + rules.dropped
    return {
        "files": {
            "planned": planned.files,
            "ok": files.ok,
            "failed": files.failed,
            "unknown": files.unknown,
            "dropped": files.dropped,
            "not_reached": found.files_not_reached,
            "registered": files.registered,
        },
        "bytes": {"planned": planned.bytes, "ok": files.bytes_ok},
        "datasets": {
            "planned": planned.datasets,
            "created": found.datasets_created,
            "closed": found.datasets_closed,
        },
        "rules": {
            "planned": planned.rules,
            "added": rules.added,
            "ok": rules.ok,
            "replicating": rules.replicating,
            "stuck": rules.stuck,
            "cancelled": rules.cancelled,
            "failed": rules.failed,
            "unknown": rules.unknown,
            "dropped": rules.dropped,
            "not_reached": max(0, planned.rules - tried),
        },
        "shortfall": {
            "dropped": files.dropped,
            "storage": files.put_failed,
            "registration": files.register_failed,
            "unknown": files.unknown,
            "not_reached": found.files_not_reached,
        },
    }
