"""The retry schedule of webhooks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.delivery.schedule import next_wait_seconds


def test_waits_grow_as_documented() -> None:
    """An endpoint is tried after nine waits of 5 s to 12 h, and then no more."""
    waits = [next_wait_seconds(attempt, 0.0) for attempt in range(1, 11)]
    assert waits == [5, 30, 120, 600, 1800, 3600, 10800, 21600, 43200, None]


@given(attempt=st.integers(1, 9), jitter=st.floats(0, 1))
def test_jitter_lengthens_by_at_most_a_tenth(attempt: int, jitter: float) -> None:
    """No wait is shorter than its place in the schedule, and none is longer by more than a tenth."""
    plain, jittered = next_wait_seconds(attempt, 0.0), next_wait_seconds(attempt, jitter)
    assert plain is not None and jittered is not None
    assert plain <= jittered <= plain * 1.1 * (1 + 1e-9)


@pytest.mark.parametrize("attempt", [10, 11, 1000])
def test_tenth_attempt_is_the_last(attempt: int) -> None:
    """After it there is no wait, whatever the jitter."""
    assert next_wait_seconds(attempt, 1.0) is None
