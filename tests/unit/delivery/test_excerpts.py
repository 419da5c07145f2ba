"""What is kept of an answer's body."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.delivery.excerpts import MAX_EXCERPT, Excerpts
from worker.privacy.redaction import Redactor

SECRET = "whsec_" + "q8Zr" * 8


def excerpt(body: bytes) -> str:
    redactor = Redactor()
    redactor.register(SECRET)
    return Excerpts(redactor.text).of(body)


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b"", ""),
        (b"not found", "not found"),
        (b"<p>\r\n  not\tfound\x00\x1b[31m</p>", "<p> not found [31m</p>"),
        ("für\u2028später".encode(), "für später"),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_excerpt_is_one_printable_line(body: bytes, kept: str) -> None:
    """What could move a cursor or forge a line becomes a space, and what is not UTF-8 a sign for that."""
    assert excerpt(body) == kept


@given(st.binary(max_size=5000))
def test_any_body_gives_a_short_printable_excerpt(body: bytes) -> None:
    """Whatever a receiver sends, it is a line of at most 200 characters."""
    kept = excerpt(body)
    assert len(kept) <= MAX_EXCERPT and (kept.isprintable() or not kept)


@pytest.mark.parametrize("secret", ["+1 (212) 555-0142", "2125550142", '"code": "4711"', "code=4711", SECRET])
@pytest.mark.parametrize("before", [0, MAX_EXCERPT - 10, 2 * MAX_EXCERPT - 10])
def test_excerpt_shows_no_secret_and_no_half_of_one(secret: str, before: int) -> None:
    """A number, a PIN or a secret is hidden wherever it is, also across the excerpt's end."""
    kept = excerpt(b". " * (before // 2) + secret.encode() + b" was wrong")
    assert not any(part in kept for part in ("555", "4711", "q8Zr"))
