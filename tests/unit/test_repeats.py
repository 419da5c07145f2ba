"""What makes two jobs of one id the same."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.doubles.samples import job
from worker.core import trace_context
from worker.core.jobs import Job
from worker.core.repeats import content, differing, digest, raw_content

DEEP: Any = 0
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("phone", 2125555555),
        ("code", 4321),
        ("message", "English"),
        ("ref", None),
        ("expires_at", "2030-01-01T00:00:00Z"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ],
)
def test_spelling_expiry_and_trace_make_no_other_job(field: str, value: Any) -> None:
    """Integers, defaults, null, another expiry and another trace leave content and digest as they are (D5)."""
    one, other = job("a"), job("a", **{field: value})
    assert content(one) == content(other) and differing(one, other) == ()


@pytest.mark.parametrize(
    "name", sorted(set(Job.model_fields) - {"id", "account", "expires_at", "exttype", *trace_context.NAMES})
)
def test_every_other_field_makes_another_job(name: str) -> None:
    """It is named, and its value is not (D5)."""
    value = {
        "country": "44",
        "phone": "20712345",
        "code": "999",
        "ext": "1",
        "message": "French",
        "ref": "n",
    }[name]
    one, other = job("a"), job("a", **{name: value})
    assert content(one) != content(other) and differing(one, other) == (name,)


def test_fields_that_are_no_job_are_compared_as_they_are() -> None:
    """Whatever they hold, without an error, and never the same as a valid job (D5)."""
    assert raw_content({"phone": 1, "x": None, "expires_at": 3, "traceparent": 4}) == raw_content(
        {"phone": "1"}
    )
    assert raw_content({"phone": "1"}) != raw_content({"phone": "2"})
    assert raw_content({"phone": object()}) == raw_content({"phone": object()})
    for odd in (DEEP, math.nan, "\ud800", {"y": {1, 2}}, b"\xff"):
        digest("a", "acme", raw_content({"phone": odd}))
    assert raw_content(job("a").model_dump()) != content(job("a"))


def test_a_digest_fits_many_numbers_and_pins() -> None:
    """Who reads it cannot find out which PIN was spoken, even where the number is known (D5)."""
    known = digest("a", "acme", content(job("a")))
    fitting = [
        pin for pin in range(100, 100_000) if digest("a", "acme", content(job("a", code=pin))) == known
    ]
    assert len(fitting) > 10 and 4321 in fitting
