"""The offset between Redis' clock and ours: always bounded from both sides, and soon known well."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.state.offset import KEPT_SECONDS, ClockOffset

OFFSET_US = 1_800_000_000_000_000

exchanges = st.lists(
    st.tuples(st.floats(0, 3), st.floats(0, 0.2), st.floats(0, 0.2)), min_size=1, max_size=30
)
"""Pause before an exchange, and the time on the way there and back, in seconds."""


def stored_us(moment: float, offset_us: int = OFFSET_US) -> int:
    return round(moment * 1_000_000) + offset_us


@given(exchanges)
def test_the_bounds_hold_the_truth(drawn: list[tuple[float, float, float]]) -> None:
    """The true offset is between the bounds, however slow each way was."""
    offset, now = ClockOffset(), 0.0
    for pause, there, back in drawn:
        sent = now + pause
        now = sent + there + back
        bounds = offset.learn(sent, now, stored_us(sent + there))
        assert bounds.least_us - 1 <= OFFSET_US <= bounds.most_us + 1


def test_a_slow_exchange_does_not_blur_what_is_known() -> None:
    """After a quick exchange the bounds stay narrow, as long as it is recent."""
    offset = ClockOffset()
    offset.learn(0.0, 0.0002, stored_us(0.0001))
    bounds = offset.learn(1.0, 1.5, stored_us(1.3))
    assert bounds.most_us - bounds.least_us <= 201


def test_old_bounds_are_forgotten() -> None:
    """Clocks drift: a bound serves for seconds, not for ever."""
    offset = ClockOffset()
    offset.learn(0.0, 0.0002, stored_us(0.0001))
    for moment in (1 + KEPT_SECONDS, 2 + 2 * KEPT_SECONDS, 3 + 3 * KEPT_SECONDS):
        bounds = offset.learn(moment, moment + 0.5, stored_us(moment + 0.3))
    assert bounds.most_us - bounds.least_us > 400_000


def test_a_clock_that_was_set_is_believed_at_once() -> None:
    """An exchange that contradicts the bounds replaces them."""
    offset = ClockOffset()
    offset.learn(0.0, 0.0002, stored_us(0.0001))
    for jump_us in (-3_600_000_000, 7_000_000):
        bounds = offset.learn(1.0, 1.5, stored_us(1.3, OFFSET_US + jump_us))
        assert bounds.least_us <= OFFSET_US + jump_us <= bounds.most_us
