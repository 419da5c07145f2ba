"""Trace contexts as W3C spells them: what is one, and in which form it goes on."""

from __future__ import annotations

import pytest

from worker.core.trace_context import MAX_STATE, traceparent, tracestate

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("text", "goes_on_as"),
    [
        (f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01"),
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f"00-{TRACE}-{SPAN}-ff", f"00-{TRACE}-{SPAN}-03"),
        (f"01-{TRACE}-{SPAN}-09-more-parts", f"00-{TRACE}-{SPAN}-01"),
        (f"cc-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01"),
    ],
)
def test_context_goes_on_as_version_00(text: str, goes_on_as: str) -> None:
    """A later version is read as far as it is known, and flags that are not known are dropped."""
    assert traceparent(text) == goes_on_as


@pytest.mark.parametrize(
    "text",
    [
        "", "00", f"00-{TRACE}-{SPAN}", f"00-{TRACE}-{SPAN}-1", f"00-{TRACE}-{SPAN}-01-more", f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n", f"ff-{TRACE}-{SPAN}-01", f"00-{TRACE.upper()}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01more", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{SPAN}-0g",
    ],
)  # fmt: skip
def test_other_texts_are_no_context(text: str) -> None:
    """Wrong lengths, capital letters, the version that is never used, and ids of zeros only."""
    assert traceparent(text) is None


def test_state_goes_on_unchanged_or_not_at_all() -> None:
    """Printable ASCII up to the bound; no systems' entries are read here."""
    assert tracestate("a=1,b=2") == "a=1,b=2" and tracestate("x" * MAX_STATE) == "x" * MAX_STATE
    assert [tracestate(text) for text in ("", "x" * (MAX_STATE + 1), "é", "a\nb", "\ud800")] == [None] * 5
