"""Lists of waits as operators write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.configuration.waits import MAX_WAIT_SECONDS, MOST_WAITS, waits


@pytest.mark.parametrize(
    ("text", "seconds"), [("5s", (5,)), ("1s 2m  3h 2d", (1, 120, 10800, 172800)), ("  7m\t", (420,))]
)
def test_units_are_seconds_minutes_hours_and_days(text: str, seconds: tuple[float, ...]) -> None:
    """Any space separates them."""
    assert waits(text) == seconds


@given(st.text(max_size=60))
def test_any_text_is_taken_or_refused_with_what_is_allowed(text: str) -> None:
    """What is taken is within the bounds, whatever was written."""
    try:
        found = waits(text)
    except ValueError as error:
        assert "; allowed is 1 to 20 waits" in str(error)
    else:
        assert 1 <= len(found) <= MOST_WAITS and all(1 <= each <= MAX_WAIT_SECONDS for each in found)
