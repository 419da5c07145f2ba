"""The store's own clock as readers work it out: with Redis' clock, but not by leaps, or pauses that nobody asked in."""

from __future__ import annotations

import pytest

from worker.state.steady import steady_us


@pytest.mark.parametrize(
    ("saved", "passed"),
    [
        (b"1000000000 500000000 7", 0),
        (b"999500000 500000000 7", 500_000),
        (b"999000000 500000000 7", 1_000_000),
        (b"998999999 500000000 7", 0),
        (b"1090000000 500000000 7", 0),
    ],
)
def test_a_pause_counts_and_a_leap_does_not(saved: bytes, passed: int) -> None:
    """A pause of up to a second counts and a leap does not, forwards only, as in `ground.lua`."""
    assert steady_us(saved, (1000, 0)) == 500_000_000 + passed


@pytest.mark.parametrize("saved", [None, b"", b"meddled with", b"1", b"1 2"])
def test_without_a_clock_on_record_it_is_redis_own(saved: bytes | None) -> None:
    """The clock begins where the next script will begin it."""
    assert steady_us(saved, (1000, 7)) == 1_000_000_007
