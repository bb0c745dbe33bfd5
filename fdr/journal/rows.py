"""How one event becomes a row of its table and becomes an event again. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fdr.model import (
    Audited,
    Did,
    Ending,
    GeneratorUsage,
    Intention,
    Kind,
    Note,
    Outcome,
    Resumed,
    RseUsage,
    RuleSeen,
    ServiceSample,
    TransferSeen,
)

Row = tuple[Any, ...]
Numbered = Callable[[str], int]  # gives a text the number of its word
Words = Mapping[int, str]  # and back


def _storable(text: str) -> str:
    """Return the text as UTF-8 can hold it: a message may carry halves of a file name that is not."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def intention_row(event: Intention, word: Numbered) -> Row:
    """Return the row of an Intention."""
    return (
        event.action,
        word(event.kind),
        word(event.experiment),
        event.dataset,
        word(event.did.scope),
        event.did.name,
        word(event.rse),
        event.size_bytes,
        event.due_at,
    )


_KINDS = {kind.value: kind for kind in Kind}
_ENDINGS = {ending.value: ending for ending in Ending}


def intention_event(row: Row, words: Words) -> Intention:
    """Return the Intention of a row."""
    action, kind, experiment, dataset, scope, name, rse, size_bytes, due_at = row
    did = Did(words[scope], name)
    return Intention(
        action, _KINDS[words[kind]], words[experiment], dataset, did, words[rse], size_bytes, due_at
    )


def outcome_row(event: Outcome, word: Numbered) -> Row:
    """Return the row of an Outcome."""
    return (
        event.action,
        word(event.step),
        event.begun_at,
        event.ended_at,
        word(event.ending),
        word(event.reason),
        _storable(event.message),
        event.detail,
    )


def outcome_event(row: Row, words: Words) -> Outcome:
    """Return the Outcome of a row."""
    action, step, begun_at, ended_at, ending, reason, message, detail = row
    return Outcome(
        action, words[step], begun_at, ended_at, _ENDINGS[words[ending]], words[reason], message, detail
    )


def rule_row(event: RuleSeen, word: Numbered) -> Row:
    """Return the row of a RuleSeen."""
    return (
        event.at,
        event.rule_id,
        word(event.state),
        event.locks_ok,
        event.locks_replicating,
        event.locks_stuck,
        _storable(event.error),
    )


def rule_event(row: Row, words: Words) -> RuleSeen:
    """Return the RuleSeen of a row."""
    at, rule_id, state, locks_ok, locks_replicating, locks_stuck, error = row
    return RuleSeen(at, rule_id, words[state], locks_ok, locks_replicating, locks_stuck, error)


def transfer_row(event: TransferSeen, word: Numbered) -> Row:
    """Return the row of a TransferSeen."""
    return (
        event.at,
        event.done,
        event.request_id,
        word(event.did.scope),
        event.did.name,
        word(event.src_rse),
        word(event.dst_rse),
        event.size_bytes,
        word(event.activity),
        word(event.protocol),
        event.created_at,
        event.submitted_at,
        event.started_at,
        event.transferred_at,
        _storable(event.reason),
    )


def transfer_event(row: Row, words: Words) -> TransferSeen:
    """Return the TransferSeen of a row."""
    at, done, request_id, scope, name, src, dst, size_bytes, activity, protocol = row[:10]
    created_at, submitted_at, started_at, transferred_at, reason = row[10:]
    did = Did(words[scope], name)
    return TransferSeen(
        at,
        bool(done),
        request_id,
        did,
        words[src],
        words[dst],
        size_bytes,
        words[activity],
        words[protocol],
        created_at,
        submitted_at,
        started_at,
        transferred_at,
        reason,
    )


def sample_row(event: ServiceSample, word: Numbered) -> Row:
    """Return the row of a ServiceSample."""
    return event.at, word(event.service), event.cpu, event.memory_bytes, event.restarts


def sample_event(row: Row, words: Words) -> ServiceSample:
    """Return the ServiceSample of a row."""
    at, service, cpu, memory_bytes, restarts = row
    return ServiceSample(at, words[service], cpu, memory_bytes, restarts)


def usage_row(event: RseUsage, word: Numbered) -> Row:
    """Return the row of a RseUsage."""
    return event.at, word(event.rse), event.used_bytes, event.files


def usage_event(row: Row, words: Words) -> RseUsage:
    """Return the RseUsage of a row."""
    at, rse, used_bytes, files = row
    return RseUsage(at, words[rse], used_bytes, files)


def note_row(event: Note, word: Numbered) -> Row:
    """Return the row of a Note."""
    return event.at, word(event.kind), _storable(event.text)


def note_event(row: Row, words: Words) -> Note:
    """Return the Note of a row."""
    at, kind, text = row
    return Note(at, words[kind], text)


def generator_row(event: GeneratorUsage, word: Numbered) -> Row:
    """Return the row of a GeneratorUsage."""
    return event.at, event.cpu_seconds, event.memory_peak_bytes, event.requests


def generator_event(row: Row, words: Words) -> GeneratorUsage:
    """Return the GeneratorUsage of a row."""
    return GeneratorUsage(*row)


def resumed_row(event: Resumed, word: Numbered) -> Row:
    """Return the row of a Resumed."""
    return event.at, event.last_at


def resumed_event(row: Row, words: Words) -> Resumed:
    """Return the Resumed of a row."""
    return Resumed(*row)


def audit_row(event: Audited, word: Numbered) -> Row:
    """Return the row of an Audited."""
    return tuple(getattr(event, name) for name in Audited.__dataclass_fields__)


def audit_event(row: Row, words: Words) -> Audited:
    """Return the Audited of a row."""
    return Audited(*row)
