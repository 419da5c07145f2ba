"""The Retry-After header in both of its forms."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.http.retry_after import retry_after_seconds

NOW = datetime(2026, 11, 22, 8, 15, 30, tzinfo=UTC)
MAX_SECONDS = 300.0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("2", 2.0),
        (" 0 ", 0.0),
        ("300", 300.0),
        ("301", 300.0),
        ("9" * 5000, 300.0),
        ("Sun, 22 Nov 2026 08:15:40 GMT", 10.0),
        ("Sunday, 22-Nov-26 08:15:40 GMT", 10.0),
        ("Sun Nov 22 08:15:40 2026", 10.0),
        ("Sun, 22 Nov 2026 09:15:40 +0100", 10.0),
        ("Sun, 22 Nov 2026 08:15:20 GMT", 0.0),
        ("Sun, 22 Nov 2099 08:15:20 GMT", 300.0),
    ],
)
def test_wish_is_understood_and_clamped(header: str, seconds: float) -> None:
    """Seconds, and all three forms of an HTTP date, within 0 to 300."""
    assert retry_after_seconds(header, NOW, MAX_SECONDS) == seconds


@pytest.mark.parametrize(
    "header", [None, "", "soon", "-5", "1.5", "2, 5", "0x10", "٣", "Sun, 99 Nov 2026 08:15:40 GMT"]
)
def test_unintelligible_wish_is_none(header: str | None) -> None:
    """No guess is made."""
    assert retry_after_seconds(header, NOW, MAX_SECONDS) is None


@given(
    st.text() | st.from_regex(r"\w{3}, \d{1,4} \w{3} \d{1,6} \d{1,3}:\d{1,3}(:\d{1,3})?( [A-Z+\-0-9]{1,6})?")
)
def test_any_header_gives_a_bounded_wish_or_none(header: str) -> None:
    """No header breaks the reader."""
    seconds = retry_after_seconds(header, NOW, MAX_SECONDS)
    assert seconds is None or 0 <= seconds <= MAX_SECONDS


@given(st.integers(0, 299))
def test_both_forms_say_the_same(seconds: int) -> None:
    """A date so many seconds ahead is as good as the number."""
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert retry_after_seconds(date, NOW, MAX_SECONDS) == seconds
    assert retry_after_seconds(str(seconds), NOW, MAX_SECONDS) == seconds


@given(st.integers(0, 10**6), st.integers(0, 10**5))
def test_the_clamp_is_the_callers(seconds: int, most: int) -> None:
    """A wish is cut to what the caller is ready to wait, in both forms."""
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert (
        retry_after_seconds(str(seconds), NOW, most)
        == retry_after_seconds(date, NOW, most)
        == min(seconds, most)
    )
