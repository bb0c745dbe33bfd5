"""Arrivals come in order, in the duration, as many as asked; draws and sizes follow their distributions."""

import math
from itertools import islice, pairwise
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdr.arrivals import due_times
from fdr.draw import draw, draws, stream_key, stream_within
from fdr.model import Arrivals, BucketSize, FixedSize, LognormalSize, UniformSize
from fdr.sizes import largest_bytes, mean_bytes, sampler, scaled

SIZES = st.one_of(
    st.builds(FixedSize, st.integers(1, 10**12)),
    st.tuples(st.integers(1, 10**9), st.integers(0, 10**9)).map(lambda p: UniformSize(p[0], p[0] + p[1])),
    st.builds(
        LognormalSize,
        st.integers(1, 10**9),
        st.floats(0.01, 5),
        st.just(1),
        st.one_of(st.none(), st.integers(1, 10**12)),
    ),
    st.lists(st.tuples(st.integers(1, 10**9), st.floats(0.01, 100)), min_size=1, max_size=5).map(
        lambda pairs: BucketSize(tuple(p[0] for p in pairs), tuple(p[1] for p in pairs))
    ),
)


def all_times(arrivals, count, duration_s, seed, per_dataset=7):
    """Return the due times of all datasets, one after the other."""
    due_in = due_times(arrivals, count, per_dataset, duration_s, stream_key(seed, "x"))
    return [time for dataset in range(-(-count // per_dataset)) for time in due_in(dataset)]


@given(
    st.sampled_from(Arrivals),
    st.integers(0, 300),
    st.floats(0.001, 1e8),
    st.integers(0, 2**63 - 1),
    st.integers(1, 50),
)
def test_due_times_are_counted_ordered_and_within_the_duration(
    arrivals, count, duration_s, seed, per_dataset
):
    """Every process gives exactly the files asked for, in order, within the duration."""
    times = all_times(arrivals, count, duration_s, seed, per_dataset)
    assert len(times) == count
    assert times == sorted(times)
    assert all(0 <= time <= duration_s for time in times)


@pytest.mark.parametrize("arrivals", Arrivals)
def test_a_dataset_has_its_times_without_the_others(arrivals):
    """Asked for alone, or in another order, they are the same."""
    times = all_times(arrivals, 100, 60.0, 5, per_dataset=30)
    due_in = due_times(arrivals, 100, 30, 60.0, stream_key(5, "x"))
    assert [list(due_in(dataset)) for dataset in (3, 1)] == [times[90:], times[30:60]]


@given(st.integers(1, 1000), st.floats(0.1, 1e6), st.floats(0, 1))
def test_constant_arrivals_never_stray_from_the_rate(count, duration_s, share):
    """At any moment the files due are within half a file of rate x time."""
    due = sum(time <= share * duration_s for time in all_times(Arrivals.CONSTANT, count, duration_s, 0))
    assert abs(due - share * count) <= 0.5 + 1e-6


@pytest.mark.parametrize("per_dataset", [1, 3, 500, 20_000])
def test_poisson_arrivals_are_those_of_a_poisson_process(per_dataset):
    """Their counts over equal intervals vary as a multinomial does, and their gaps as exponentials do."""
    count, bins = 20_000, 200
    times = all_times(Arrivals.POISSON, count, 1.0, 1, per_dataset)
    per_bin = [0] * bins
    for time in times:
        per_bin[min(bins - 1, int(time * bins))] += 1
    chi_square = sum((n - count / bins) ** 2 / (count / bins) for n in per_bin)
    assert bins - 1 - 4 * math.sqrt(2 * bins) < chi_square < bins - 1 + 4 * math.sqrt(2 * bins)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert sum(gap > 1 / count for gap in gaps) / len(gaps) == pytest.approx(math.exp(-1), abs=0.015)


@given(st.integers(0, 2**63 - 1), st.text(max_size=5), st.integers(0, 1000))
def test_a_draw_is_the_same_alone_and_in_its_stream(seed, name, index):
    """Any draw can be had without those before it."""
    key = stream_key(seed, name)
    assert draw(key, index) == next(islice(draws(key), index, None)) == next(draws(key, index))
    assert 0 < draw(key, index) < 1


def test_streams_of_other_names_are_others():
    """Names are kept apart: two of them never run together into the same stream."""
    names = [("ab", "c"), ("a", "bc"), ("abc",), ("a", "b", "c"), ("a", "b\0c"), ("a\0b", "c")]
    keys = {stream_key(1, *name) for name in names} | {stream_key(2, "ab", "c")}
    assert len(keys) == len(names) + 1
    assert len(keys | {stream_within(key, index) for key in keys for index in (0, 1)}) == 3 * len(keys)


def test_draws_are_uniform():
    """A hundred thousand draws spread evenly over ten bins."""
    counts = [0] * 10
    for value in islice(draws(stream_key(3, "u")), 100_000):
        counts[int(value * 10)] += 1
    assert all(abs(count - 10_000) < 400 for count in counts)


@given(SIZES, st.floats(1e-15, 1 - 1e-15))
def test_a_drawn_size_is_a_size_of_its_distribution(size, uniform):
    """A drawn size is at least a byte, at most the largest, and one of the buckets where there are any."""
    drawn = sampler(size)(uniform)
    assert drawn >= 1
    assert drawn <= (largest_bytes(size) or drawn)
    if isinstance(size, BucketSize):
        assert drawn in size.bytes


@given(SIZES, st.floats(1e-15, 1 - 1e-15), st.floats(1e-15, 1 - 1e-15))
def test_sizes_grow_with_their_draw_but_for_buckets(size, one, other):
    """Drawing is the quantile function: a larger draw never gives a smaller file."""
    low, high = sorted((one, other))
    if not isinstance(size, BucketSize):
        assert sampler(size)(low) <= sampler(size)(high)


@pytest.mark.parametrize(
    "size",
    [
        FixedSize(77),
        UniformSize(10, 1000),
        LognormalSize(8_000_000, 0.9, 1, 2_000_000_000),
        LognormalSize(1000, 1.5, 500, 4000),
        LognormalSize(1000, 0.5, 1, None),
        BucketSize((1, 100, 5000), (7.0, 2.0, 0.5)),
    ],
)
def test_the_mean_is_that_of_what_is_drawn(size):
    """The mean that forecasts use is the mean of a fine grid of draws, clipping included."""
    draw_bytes, steps = sampler(size), 200_000
    drawn = fmean(draw_bytes((step + 0.5) / steps) for step in range(steps))
    assert mean_bytes(size) == pytest.approx(drawn, rel=2e-3)


@given(SIZES, st.floats(1e-6, 1))
def test_scaled_sizes_never_vanish(size, factor):
    """However far sizes are scaled down, a file keeps a byte; scale 1 changes nothing."""
    assert sampler(scaled(size, factor))(1e-12) >= 1
    assert scaled(size, 1) == size
