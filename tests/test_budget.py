"""The impact budget is never exceeded."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from fdr.budget import Budget
from fdr.model import Limits
from fdr.pace import Spacing


@given(st.lists(st.integers(0, 1000)), st.none() | st.integers(1, 20), st.none() | st.integers(1, 5000))
def test_what_is_let_through_stays_within_the_limits(
    sizes: list[int], files: int | None, volume: int | None
) -> None:
    """A refused upload names the limit it would break, and would indeed break it."""
    budget = Budget(Limits(files, volume))
    through: list[int] = []
    for size in sizes:
        refusal = budget.refusal(size)
        if not refusal:
            through.append(size)
        elif "files" in refusal:
            assert len(through) == files
        else:
            assert volume is not None
            assert sum(through) + size > volume
    assert files is None or len(through) <= files
    assert volume is None or sum(through) <= volume


def test_what_was_begun_before_counts() -> None:
    """A resumed run may begin what is left of its budget, and no more."""
    by_files = Budget(Limits(files=10))
    for _ in range(8):
        by_files.spend(1)
    assert [bool(by_files.refusal(1)) for _ in range(3)] == [False, False, True]
    by_volume = Budget(Limits(volume_bytes=100))
    by_volume.spend(90)
    assert [bool(by_volume.refusal(5)) for _ in range(3)] == [False, False, True]


async def test_requests_are_kept_apart() -> None:
    """Eleven calls at 100 per second take a tenth of a second or more."""
    loop = asyncio.get_running_loop()
    spacing = Spacing(100)
    begun = loop.time()
    await asyncio.gather(*(spacing.turn() for _ in range(11)))
    assert loop.time() - begun >= 0.1


async def test_no_limit_lets_everyone_through_at_once() -> None:
    """Without a limit nobody waits."""
    loop = asyncio.get_running_loop()
    spacing = Spacing(None)
    begun = loop.time()
    await asyncio.gather(*(spacing.turn() for _ in range(1000)))
    assert loop.time() - begun < 1
