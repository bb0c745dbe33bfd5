"""Tell what an audit came to: a summary and a table for people, JSON for programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fdr.audit.finding import Audit, Fate, Finding, Sort

SCHEMA = "fdr-audit/1"
SHOWN = 20  # findings of each sort


def to_json(audit: Audit) -> dict[str, Any]:
    """Return the audit as plain values; ``docs/audit.md`` says what they are."""
    fates = audit.fates
    return {
        "schema": SCHEMA,
        "run": audit.run,
        "at": datetime.fromtimestamp(audit.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "complete": audit.is_complete,
        "files": audit.files,
        "copies": audit.copies,
        "datasets": audit.datasets,
        "rules": audit.rules,
        **{sort.value: audit.counts[sort] for sort in Sort},
        "unknown": {
            fate.value.removeprefix("unknown_"): fates[fate] for fate in Fate if fate.startswith("unknown")
        },
        "expired": {
            "files": fates[Fate.EXPIRED],
            "datasets": audit.expired_datasets,
            "rules": audit.expired_rules,
        },
        "elsewhere": fates[Fate.ELSEWHERE],
        "unseen": [
            {"rse": rse, "copies": count, "why": audit.why[rse]}
            for rse, count in sorted(audit.unseen.items())
        ],
        "findings": [_as_json(finding) for finding in audit.findings],
        "findings_left_out": audit.counts.total() - len(audit.findings),
    }


def to_json_text(audit: Audit) -> str:
    """Return the audit as JSON text."""
    return json.dumps(to_json(audit), indent=2, ensure_ascii=False) + "\n"


def show(audit: Audit, console: Console) -> None:
    """Print the findings, the first ``SHOWN`` of each sort, what else is to be known, and a summary."""
    if audit.findings:
        console.print(_table(audit))
    for line in _remarks(audit):
        console.print(Text(line))
    console.print(Text(summary(audit), style="bold"))


def summary(audit: Audit) -> str:
    """Return the audit in one line."""
    counts = ", ".join(f"{audit.counts[sort]} {sort}" for sort in Sort)
    seen = "" if audit.is_complete else "; NOT everything could be looked at"
    return f"{audit.run}: {audit.files} files, {audit.copies} copies: {counts}{seen}"


def _table(audit: Audit) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("", "what", "where", "expected", "observed"):
        table.add_column(name, overflow="fold")
    for sort in Sort:
        found = [finding for finding in audit.findings if finding.sort is sort]
        for finding in found[:SHOWN]:
            what = f"{finding.what} {finding.name}"
            cells = (sort.value, what, finding.where, finding.expected, finding.observed)
            table.add_row(*map(Text, cells))
        if audit.counts[sort] > SHOWN:
            table.add_row(sort.value, Text(f"and {audit.counts[sort] - SHOWN} more"))
    return table


def _remarks(audit: Audit) -> list[str]:
    """Return in words what is no finding and yet to be known."""
    fates = audit.fates
    remarks = []
    if audit.unknown:
        settled = {
            "are registered": fates[Fate.UNKNOWN_REGISTERED],
            "are on a storage and unknown to Rucio": fates[Fate.UNKNOWN_ON_STORAGE],
            "are nowhere": fates[Fate.UNKNOWN_NOWHERE],
            "are unknown to Rucio, at a storage that could not be asked": fates[Fate.UNKNOWN_UNSEEN],
        }
        told = ", ".join(f"{count} {words}" for words, count in settled.items() if count)
        remarks.append(f"{audit.unknown} files of which the journal does not say how they ended: {told}")
    expired = {"files": fates[Fate.EXPIRED], "datasets": audit.expired_datasets, "rules": audit.expired_rules}
    if any(expired.values()):
        told = ", ".join(f"{count} {words}" for words, count in expired.items() if count)
        remarks.append(f"rightly gone, expired or cancelled or removed: {told}")
    if fates[Fate.ELSEWHERE]:
        remarks.append(f"{fates[Fate.ELSEWHERE]} files are no longer where they were put, but at another RSE")
    for rse, count in sorted(audit.unseen.items()):
        remarks.append(f"{count} copies at {rse} could not be looked at: {audit.why[rse]}")
    return remarks


def _as_json(finding: Finding) -> dict[str, str]:
    return {
        "sort": finding.sort.value,
        "what": finding.what,
        "name": finding.name,
        "where": finding.where,
        "expected": finding.expected,
        "observed": finding.observed,
    }
