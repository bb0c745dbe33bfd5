"""Sizes, durations, rates and percentages: read and print. Pure."""

from __future__ import annotations

import difflib
import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

# Largest first: a size is printed in the first that suits it.
DECIMAL_SIZES: Mapping[str, int] = {
    "EB": 10**18,
    "PB": 10**15,
    "TB": 10**12,
    "GB": 10**9,
    "MB": 10**6,
    "kB": 10**3,
    "B": 1,
}
BINARY_SIZES: Mapping[str, int] = {
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
    "PiB": 2**50,
    "EiB": 2**60,
}
SIZES: Mapping[str, int] = {**DECIMAL_SIZES, **BINARY_SIZES}
# Longest first: a duration is written in this order.
DURATIONS: Mapping[str, Decimal] = {
    "w": Decimal(7 * 86400),
    "d": Decimal(86400),
    "h": Decimal(3600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
}
RATES: Mapping[str, int] = {"s": 1, "min": 60, "h": 3600, "d": 86400}

# No more digits than anyone means: a number of a million digits is a mistake, not a size.
NUMBER = r"[0-9][0-9_]{0,24}(?:\.[0-9]{1,30})?"
NUMBER_AND_WORD = re.compile(rf"({NUMBER}) ?([A-Za-z]*)")
DURATION = re.compile(
    "(?=[0-9])" + " ?".join(rf"(?:(?P<{unit}>{NUMBER}) ?{unit}(?![a-z]))?" for unit in DURATIONS)
)
RATE = re.compile(rf"({NUMBER}) ?/ ?([A-Za-z]+)")
PERCENT = re.compile(rf"({NUMBER}) ?%")


def parse_size(text: str) -> int:
    """Read a size such as ``8 MB``, ``2 GiB``, ``1.5kB`` or ``100`` (bytes); return bytes, rounded.

    Raises ValueError, with what to write instead.
    """
    match = NUMBER_AND_WORD.fullmatch(text)
    if match is None:
        raise ValueError(f"{_short(text)} is not a size (write for example 8 MB, 2 GiB or 100)")
    unit = match[2] or "B"
    if unit not in SIZES:
        raise ValueError(f"unknown unit of size {unit!r}{_suggest(unit, SIZES)}")
    return int((_number(match[1]) * SIZES[unit]).to_integral_value())


def parse_duration(text: str) -> float:
    """Read a duration such as ``24h``, ``1h30m``, ``90s``, ``2d`` or ``500ms``; return seconds.

    Raises ValueError, with what to write instead.
    """
    match = DURATION.fullmatch(text)
    if match is not None and match.lastgroup is not None:
        parts = (_number(match[unit]) * DURATIONS[unit] for unit in DURATIONS if match[unit])
        return float(sum(parts))
    bare = NUMBER_AND_WORD.fullmatch(text)
    if bare is None:
        raise ValueError(f"{_short(text)} is not a duration (write for example 24h, 1h30m, 90s or 500ms)")
    if not bare[2]:
        raise ValueError(f"{text} of what? (write {text}s, {text}m or {text}h)")
    raise ValueError(f"unknown unit of time {bare[2]!r}{_suggest(bare[2], DURATIONS)}")


def parse_rate(text: str) -> float:
    """Read a rate such as ``6/s``, ``20/min`` or ``500/h``; return so many a second.

    Raises ValueError, with what to write instead.
    """
    match = RATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{_short(text)} is not a rate (write for example 6/s, 20/min or 500/h)")
    if match[2] not in RATES:
        raise ValueError(f"unknown unit of rate '/{match[2]}'{_suggest(match[2], RATES)}")
    return float(_number(match[1])) / RATES[match[2]]


def parse_percent(text: str) -> float:
    """Read a percentage such as ``99.5%``; return it as a ratio. Raises ValueError when it is not one."""
    match = PERCENT.fullmatch(text)
    if match is None:
        raise ValueError(f"{_short(text)} is not a percentage (write for example 5% or 99.5%)")
    return float(_number(match[1]) / 100)


def exact_size(size_bytes: int) -> str:
    """Print bytes so that parse_size gives them back, with three decimals at most."""
    for unit, factor in DECIMAL_SIZES.items():
        if size_bytes >= factor and size_bytes * 1000 % factor == 0:
            return f"{_plain(Decimal(size_bytes) / factor)} {unit}"
    return f"{size_bytes} B"


def exact_duration(seconds: float) -> str:
    """Print seconds so that parse_duration gives them back, such as ``1h30m`` or ``2.5s``."""
    rest = Decimal(repr(float(seconds)))
    text = ""
    for unit in ("d", "h", "m"):
        whole, rest = divmod(rest, DURATIONS[unit])
        if whole:
            text += f"{_plain(whole)}{unit}"
    if rest or not text:
        text += f"{_plain(rest)}s"
    return text


def exact_rate(per_second: float) -> str:
    """Print a rate so that parse_rate gives it back, in a unit that makes a whole number if there is one."""
    for unit, seconds in RATES.items():
        whole = round(per_second * seconds)
        if whole and whole / seconds == per_second:
            return f"{whole}/{unit}"
    return f"{_plain(Decimal(repr(float(per_second))))}/s"


def exact_percent(ratio: float) -> str:
    """Print a ratio as a percentage so that parse_percent gives it back."""
    return f"{_plain(Decimal(repr(float(ratio))) * 100)}%"


def format_size(size_bytes: float) -> str:
    """Print bytes for people, to three digits: ``8.31 MB``."""
    for unit, factor in DECIMAL_SIZES.items():
        # 999.6 kB is written as 1 MB, not as 1000 kB.
        if size_bytes >= factor * 0.9995 and factor > 1:
            return f"{_three_digits(size_bytes / factor)} {unit}"
    return f"{_three_digits(size_bytes)} B"


def format_duration(seconds: float) -> str:
    """Print seconds for people, to three digits or two units: ``350ms``, ``12.5s``, ``1h 30m``, ``2d``."""
    if seconds < 0.9995:
        return f"{_three_digits(seconds * 1000)}ms"
    if seconds < 59.95:
        return f"{_three_digits(seconds)}s"
    for larger, smaller in (("m", "s"), ("h", "m"), ("d", "h")):
        step = int(DURATIONS[smaller])
        count, rest = divmod(round(seconds / step), int(DURATIONS[larger]) // step)
        if larger == "d" or count < int(DURATIONS["d" if larger == "h" else "h"] / DURATIONS[larger]):
            return f"{count}{larger} {rest}{smaller}" if rest else f"{count}{larger}"
    raise AssertionError("days have no upper bound")


def format_rate(per_second: float) -> str:
    """Print a rate for people, to three digits, in the unit that suits it: ``5.89/s``, ``20/min``."""
    for unit, seconds in RATES.items():
        if per_second * seconds >= 0.9995 or unit == "d":
            return f"{_three_digits(per_second * seconds)}/{unit}"
    raise AssertionError("a day is the last unit")


def _number(text: str) -> Decimal:
    return Decimal(text.replace("_", ""))


def _plain(number: Decimal) -> str:
    """Print a decimal without an exponent and without trailing zeros."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _three_digits(number: float) -> str:
    if number == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(number) * (1 + 1e-12))))
    text = f"{number:.{min(decimals, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _suggest(word: str, known: Collection[str]) -> str:
    for unit in known:
        if unit.lower() == word.lower():
            return f" (did you mean {unit!r}?)"
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    if close:
        return f" (did you mean {close[0]!r}?)"
    return f" (known: {', '.join(known)})"


def _short(text: str) -> str:
    """Quote a text for a message; a book is not quoted whole."""
    return repr(text if len(text) <= 40 else text[:37] + "…")
