"""Beats lie on a grid: nothing drifts, nothing piles up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fdr.noise.beats import beat_at, next_beat

FIRST_AT = 1_000_000.0


@given(
    st.floats(1, 90_000),
    st.lists(st.floats(0, 200_000), min_size=1, max_size=50),
)
def test_beats_stay_on_the_grid_and_none_is_begun_before_its_time(every_s: float, took: list[float]) -> None:
    """However long passes take, each begins on a beat that is not past, and the next possible one."""
    beat, now = 0, FIRST_AT
    for took_s in took:
        now += took_s
        last, beat = beat, next_beat(FIRST_AT, every_s, beat, now)
        at = beat_at(FIRST_AT, every_s, beat)
        assert beat > last
        assert at == FIRST_AT + beat * every_s
        assert at >= now - 1e-4
        assert beat == last + 1 or at - every_s < now
        now = max(now, at)


def test_a_pass_that_overruns_skips_beats() -> None:
    """Of hourly beats, a pass of two and a half hours skips two."""
    assert [next_beat(0.0, 3600.0, 4, 4 * 3600.0 + took) for took in (10, 3600, 3601, 9000)] == [5, 5, 6, 7]
