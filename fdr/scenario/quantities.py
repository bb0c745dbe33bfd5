"""The words and numbers of a scenario, each read and checked by itself. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pydantic import ValidationInfo

from fdr import rucio_schema as rucio
from fdr.abort_when import parse_abort_when
from fdr.expression import matching, term_matches, terms
from fdr.names import check_template
from fdr.objectives import parse_objective
from fdr.scenario.check import Known, did_you_mean, shown
from fdr.units import exact_duration, parse_duration, parse_rate, parse_size

MOST_FILES = 10**9
MOST_BYTES = 10**18
MOST_SECONDS = 10 * 365 * 86400
MOST_SEED = 2**63 - 1
COUNT_TEXT = re.compile(r"[0-9][0-9_]{0,29}")


def read_count(value: Any) -> int:
    """Read a whole number above zero, also as text with underscores, which YAML 1.2 makes of 1_000."""
    if isinstance(value, str) and COUNT_TEXT.fullmatch(value):
        value = int(value.replace("_", ""))
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{shown(value)} is not a whole number (write for example 500)")
    if not 1 <= value <= MOST_FILES:
        raise ValueError(f"{shown(value)} is out of range (write 1 to {MOST_FILES:_})")
    return value


def read_seed(value: Any) -> int:
    """Read a seed: a whole number from 0."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_SEED:
        raise ValueError(f"{shown(value)} is not a seed (write a whole number from 0)")
    return value


def read_positive(value: Any) -> float:
    """Read a number above zero."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{shown(value)} is not a number (write for example 0.9)")
    if not 0 < value < 1e12:
        raise ValueError(f"{shown(value)} is out of range (write a number above zero)")
    return float(value)


def read_sigma(value: Any) -> float:
    """Read a lognormal distribution's sigma; 5 spreads sizes over eight powers of ten already."""
    sigma = read_positive(value)
    if sigma > 5:
        raise ValueError(f"{shown(value)} is out of range (write 5 at most; 0.9 is usual)")
    return sigma


def read_size(value: Any) -> int:
    """Read bytes: a whole number, or text with a unit."""
    if isinstance(value, str):
        size_bytes = parse_size(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        size_bytes = value
    else:
        raise ValueError(f"{shown(value)} is not a size (write for example 8 MB, 2 GiB or 100)")
    if not 1 <= size_bytes <= MOST_BYTES:
        raise ValueError(f"{shown(value)} is out of range (write 1 B to 1 EB)")
    return size_bytes


def read_duration(value: Any) -> float:
    """Read a time above zero, in seconds; a bare number does not say of what."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"{value} of what? (write {value}s, {value}m or {value}h)")
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not a duration (write for example 24h, 90s or 500ms)")
    seconds = parse_duration(value)
    if not 0.001 <= seconds <= MOST_SECONDS:
        raise ValueError(f"{shown(value)} is out of range (write 1ms to {exact_duration(MOST_SECONDS)})")
    return seconds


def read_lifetime(value: Any, info: ValidationInfo[Known]) -> int:
    """Read how long a rule or dataset lives, in seconds: past the end of the run, or it vanishes in it."""
    seconds = read_duration(value)
    known = info.context
    if known.run_s is not None and seconds <= known.run_s:
        needed = exact_duration(3600 * (known.run_s // 3600 + 1))
        run = exact_duration(round(known.run_s))
        raise ValueError(f"{value} may end before the run, which lasts {run} with its grace (write {needed})")
    return max(1, round(seconds))


def read_rate(value: Any) -> float:
    """Read so many a second."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not a rate (write for example 6/s, 20/min or 500/h)")
    rate = parse_rate(value)
    if rate <= 0:
        raise ValueError(f"{shown(value)} is out of range (write more than none)")
    return rate


def read_word(what: str, pattern: str, longest: int, example: str) -> Callable[[Any], str]:
    """Return the reader of a word that must match a pattern."""

    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(f"{shown(value)} is not {what} (write for example {example})")
        # A $ in a pattern would let a last newline pass.
        if not re.fullmatch(pattern, value) or len(value) > longest or value.endswith("\n"):
            raise ValueError(
                f"{shown(value)} is not {what} (write for example {example}; "
                f"{longest} characters at most, {pattern})"
            )
        return value

    return read


def read_activity(value: Any) -> str:
    """Read one of Rucio's activities."""
    if value not in rucio.ACTIVITIES:
        known = ", ".join(rucio.ACTIVITIES)
        hint = did_you_mean(value, rucio.ACTIVITIES) if isinstance(value, str) else ""
        raise ValueError(f"{shown(value)} is not an activity of Rucio's{hint} (write one of: {known})")
    return str(value)


def read_attribute_key(value: Any) -> str:
    """Read the key of an RSE attribute that an expression can ask for."""
    if not isinstance(value, str) or not re.fullmatch(rucio.ATTRIBUTE_KEY_PATTERN, value):
        raise ValueError(f"{shown(value)} is not an attribute's key (write letters, digits and . _ -)")
    if value in rucio.RSE_COLUMNS:
        raise ValueError(f"{value!r} is Rucio's own column, which expressions look at (write another key)")
    return value


def read_attribute(value: Any) -> str:
    """Read an RSE attribute's value; Rucio keeps all of them as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float) or not 1 <= len(str(value)) <= rucio.ATTRIBUTE_LENGTH:
        raise ValueError(f"{shown(value)} is not an attribute's value (write a word or a number)")
    return str(value)


def read_metadata_key(value: Any) -> str:
    """Read a key of metadata that describes a DID."""
    if not isinstance(value, str) or not re.fullmatch(rucio.METADATA_KEY_PATTERN, value):
        raise ValueError(f"{shown(value)} is not a key of metadata (write letters, digits and _ -)")
    if value in rucio.DID_COLUMNS:
        raise ValueError(f"{value!r} is kept by Rucio itself (write another key, such as campaign)")
    return value


def read_metadata(value: Any) -> str:
    """Read a value of metadata, as text."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if not isinstance(value, str | int | float) or not 1 <= len(text) <= rucio.METADATA_LENGTH:
        raise ValueError(
            f"{shown(value)} is not a value of metadata (write 1 to {rucio.METADATA_LENGTH} characters)"
        )
    return text


def read_target(value: Any, info: ValidationInfo[Known]) -> str:
    """Read where something goes, an RSE expression or {qos: LABEL}; return the RSE expression."""
    known = info.context
    if isinstance(value, dict):
        return _qos_target(value, known)
    if not isinstance(value, str):
        raise ValueError(
            f"{shown(value)} is not a target (write an RSE, an RSE expression or {{qos: LABEL}})"
        )
    written = terms(value)
    if known.rses is None:
        return value
    attributes = {key for rse in known.rses.values() for key in rse.attributes}
    for term in written:
        if not term.op and term.key not in {"*", *known.rses, *attributes}:
            raise ValueError(f"there is no RSE {term.key!r} in rses{did_you_mean(term.key, known.rse_names)}")
        if term.op and term.key not in {"rse", *known.rses, *attributes}:
            raise ValueError(f"no RSE has an attribute {term.key!r}{did_you_mean(term.key, attributes)}")
    if not matching(value, known.rses):
        empty = [str(term) for term in written if not term_matches(term, known.rses)]
        hint = f", for {empty[0]!r} matches none" if empty and empty[0] != value else ""
        raise ValueError(f"{value!r} matches no RSE of this scenario{hint} (write what some of rses have)")
    return value


def _qos_target(value: dict[str, Any], known: Known) -> str:
    label = value.get("qos")
    if set(value) != {"qos"} or not isinstance(label, str):
        raise ValueError(f"{shown(value)} is not a target (write {{qos: LABEL}})")
    if not re.fullmatch(rucio.ATTRIBUTE_VALUE_PATTERN, label) or label.endswith("\n"):
        raise ValueError(f"{label!r} is not a QoS label (write letters, digits, - and _)")
    if known.rses is not None and not matching(f"QOS={label}", known.rses):
        labels = sorted({rse.attributes["QOS"] for rse in known.rses.values() if "QOS" in rse.attributes})
        raise ValueError(f"no RSE has qos {label!r}{did_you_mean(label, labels)}")
    return f"QOS={label}"


def read_template(value: Any, info: ValidationInfo[Known]) -> str:
    """Read the template of an experiment's names."""
    known = info.context
    if not isinstance(value, str):
        raise ValueError(
            f"{shown(value)} is not a template (write for example '{{experiment}}/{{file:06d}}')"
        )
    check_template(value, known.experiment, MOST_FILES)
    return value


def read_objective(value: Any, info: ValidationInfo[Known]) -> str:
    """Read an objective; return its text."""
    known = info.context
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not an objective (write for example 'upload.success >= 99%')")
    parse_objective(value, known.experiments)
    return value


def read_abort_when(value: Any, info: ValidationInfo[Known]) -> str:
    """Read a limit on a number of the last minutes; return its text."""
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not a limit (write for example 'upload.success < 80% over 5m')")
    parse_abort_when(value, info.context.experiments)
    return value


def read_rse_key(value: Any, info: ValidationInfo[Known]) -> str:
    """Read the name of an RSE that the scenario has."""
    known = info.context
    if known.rse_names and value not in known.rse_names:
        raise ValueError(f"there is no RSE {shown(value)} in rses{did_you_mean(value, known.rse_names)}")
    return str(value)
