"""Sizes, durations, rates and percentages are read and printed both ways."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdr.units import (
    exact_duration,
    exact_percent,
    exact_rate,
    exact_size,
    format_duration,
    format_rate,
    format_size,
    parse_duration,
    parse_percent,
    parse_rate,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("8 MB", 8_000_000),
        ("2 GiB", 2 * 2**30),
        ("1kB", 1000),
        ("100", 100),
        ("1_200_000 B", 1_200_000),
        ("27.99 TB", 27_990_000_000_000),
        ("0.5 B", 0),
        ("1.5 KiB", 1536),
    ],
)
def test_sizes_are_read(text, size_bytes):
    """A size is a number with a decimal or binary unit, or bare bytes."""
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("24h", 86400),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("90s", 90),
        ("2d", 172800),
        ("500ms", 0.5),
        ("1.5h", 5400),
        ("1w", 604800),
        ("1m500ms", 60.5),
        ("0s", 0),
    ],
)
def test_durations_are_read(text, seconds):
    """A duration is one or more numbers with units, the longest unit first."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "per_second"), [("6/s", 6), ("20/min", 20 / 60), ("500/h", 500 / 3600), ("1 / d", 1 / 86400)]
)
def test_rates_are_read(text, per_second):
    """A rate is a number over a unit of time."""
    assert parse_rate(text) == per_second


@pytest.mark.parametrize(("text", "ratio"), [("5%", 0.05), ("99.5%", 0.995), ("100 %", 1.0)])
def test_percentages_are_read_as_ratios(text, ratio):
    """A percentage becomes a ratio without a rounding of its own."""
    assert parse_percent(text) == ratio


@pytest.mark.parametrize(
    ("parse", "text", "hint"),
    [
        (parse_size, "8 mb", "did you mean 'MB'"),
        (parse_size, "8 XB", "did you mean|known"),
        (parse_size, "-8 MB", "is not a size"),
        (parse_size, "", "is not a size"),
        (parse_size, "1e3 MB", "is not a size|unknown unit"),
        (parse_size, "nan", "is not a size"),
        (parse_size, "9" * 400, "is not a size"),
        (parse_size, "8 MB ", "is not a size"),
        (parse_size, "٣ MB", "is not a size"),
        (parse_duration, "3600", "3600 of what"),
        (parse_duration, "5 min", "unknown unit of time 'min'"),
        (parse_duration, "30m1h", "is not a duration"),
        (parse_duration, "", "is not a duration"),
        (parse_duration, "-1h", "is not a duration"),
        (parse_duration, "1H", "did you mean 'h'"),
        (parse_duration, "inf", "is not a duration"),
        (parse_rate, "6", "is not a rate"),
        (parse_rate, "6/sec", "unknown unit of rate"),
        (parse_percent, "0.05", "is not a percentage"),
    ],
)
def test_what_is_not_a_quantity_is_refused_with_what_to_write(parse, text, hint):
    """A wrong unit or number is a ValueError that says what to write instead."""
    with pytest.raises(ValueError, match=hint):
        parse(text)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text):
    """No text at all makes a parser do anything but return a finite number or raise ValueError."""
    for parse in (parse_size, parse_duration, parse_rate, parse_percent):
        try:
            value = parse(text)
        except ValueError:
            continue
        assert math.isfinite(value)
        assert value >= 0


@given(st.integers(0, 10**21))
def test_a_printed_size_reads_back_as_itself(size_bytes):
    """Printing a size and reading it gives the same bytes."""
    assert parse_size(exact_size(size_bytes)) == size_bytes


def test_an_exact_size_has_three_decimals_at_most():
    """An exact size takes the largest unit that prints it shortly."""
    assert [exact_size(n) for n in (0, 999, 8_310_000, 8_310_001, 2 * 10**12)] == [
        "0 B",
        "999 B",
        "8.31 MB",
        "8310.001 kB",
        "2 TB",
    ]


@given(st.floats(0, 1e9, allow_nan=False).map(lambda seconds: round(seconds, 9)))
def test_a_printed_duration_reads_back_as_itself(seconds):
    """Printing a duration and reading it gives the same seconds."""
    assert parse_duration(exact_duration(seconds)) == seconds


@given(st.integers(1, 10**6), st.sampled_from(["s", "min", "h", "d"]))
def test_a_printed_rate_reads_back_as_itself(count, unit):
    """Printing a rate and reading it gives the same rate."""
    rate = parse_rate(f"{count}/{unit}")
    assert parse_rate(exact_rate(rate)) == rate


@given(st.decimals(0, 1000, places=4))
def test_a_printed_percentage_reads_back_as_itself(percent):
    """Printing a percentage and reading it gives the same ratio."""
    ratio = parse_percent(f"{percent}%")
    assert parse_percent(exact_percent(ratio)) == ratio


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (8_310_000, "8.31 MB"),
        (999_600, "1 MB"),
        (1000, "1 kB"),
        (12_345, "12.3 kB"),
    ],
)
def test_sizes_for_people_have_three_digits(size_bytes, text):
    """A size in a table has three digits and the unit that suits it."""
    assert format_size(size_bytes) == text


@given(st.integers(1, 10**20))
def test_sizes_for_people_are_near_the_truth(size_bytes):
    """A rounded size is within half a percent of the bytes."""
    assert parse_size(format_size(size_bytes)) == pytest.approx(size_bytes, rel=0.0051)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.35, "350ms"),
        (12.5, "12.5s"),
        (59.99, "1m"),
        (90, "1m 30s"),
        (5400, "1h 30m"),
        (3599.9, "1h"),
        (86400, "1d"),
        (86399.9, "1d"),
        (172800, "2d"),
        (0, "0ms"),
    ],
)
def test_durations_for_people_have_two_units(seconds, text):
    """A duration in a table has two units at most."""
    assert format_duration(seconds) == text


@given(st.floats(0.001, 1e8))
def test_durations_for_people_are_near_the_truth(seconds):
    """A rounded duration is within two percent of the seconds, and never 60s or 60m."""
    text = format_duration(seconds)
    assert parse_duration(text) == pytest.approx(seconds, rel=0.02)
    assert "60" not in text.replace("s", "m").split("m")


def test_rates_for_people_take_the_unit_that_suits_them():
    """A slow rate is printed per minute, hour or day."""
    assert [format_rate(rate) for rate in (5.89, 20 / 60, 500 / 3600 / 60, 1 / 86400)] == [
        "5.89/s",
        "20/min",
        "8.33/h",
        "1/d",
    ]
