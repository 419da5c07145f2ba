"""The retry schedule of webhooks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.delivery.schedule import Schedule, within_bounds
from worker.settings import Settings

SCHEDULE = Schedule((5.0, 300.0, 1800.0))


def test_default_schedule_is_the_documented_one() -> None:
    """An endpoint is tried ten times within about 75 hours."""
    schedule = Schedule(Settings.from_env({}).webhook_waits)
    hours = [schedule.wait_seconds(attempt, 0.0) / 3600 for attempt in range(1, 10)]
    assert hours == [5 / 3600, 5 / 60, 0.5, 2, 5, 10, 14, 20, 24]
    assert schedule.attempts == 10 and 75 < sum(hours) < 76


@given(attempt=st.integers(1, 3), jitter=st.floats(0, 1))
def test_jitter_lengthens_by_at_most_a_fifth(attempt: int, jitter: float) -> None:
    """No wait is shorter than its place in the schedule, and none is longer by more than a fifth."""
    plain, jittered = SCHEDULE.wait_seconds(attempt, 0.0), SCHEDULE.wait_seconds(attempt, jitter)
    assert plain <= jittered <= plain * 1.2 * (1 + 1e-9)


@pytest.mark.parametrize("attempt", [4, 5, 1000])
def test_later_attempts_have_the_last_wait(attempt: int) -> None:
    """Only an endpoint that was disabled meanwhile gets so many."""
    assert SCHEDULE.wait_seconds(attempt, 0.0) == 1800.0


@pytest.mark.parametrize(("wish", "wait"), [(-5.0, 1.0), (0.0, 1.0), (90.0, 90.0), (1e9, 43200.0)])
def test_wish_of_an_endpoint_is_kept_within_bounds(wish: float, wait: float) -> None:
    """An endpoint can ask for one second at least and twelve hours at most."""
    assert within_bounds(wish) == wait
