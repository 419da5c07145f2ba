"""Events as the client reads them: typed, and never in the way of what a later version adds."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callworker.errors import InvalidEvent
from callworker.events import Error, Event
from worker.core.events import Failure, Status, Subject, conclude

ACCEPTED_US, FINISHED_US = 1_763_799_330_123_000, 1_763_799_331_000_000
SUBJECT = Subject("order-1", "acme", "for Grüße", "1", "******0123")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def published(outcome: str | Failure, status: Status) -> str:
    """The body of an event as workers publish it."""
    return conclude(
        SUBJECT,
        outcome,
        status,
        attempts=2,
        accepted_at_us=ACCEPTED_US,
        finished_at_us=FINISHED_US,
        event_id="evt_1",
    ).body


def test_placed_call_is_typed() -> None:
    """Every field of a worker's own event has its value and type, and times are in UTC."""
    body = published("97A677DD3E0A42B8EA58D93D05BAC89F", Status.PLACED)
    event = Event.parse(body.encode())
    data = event.data
    assert (event.id, event.type, event.status) == (json.loads(body)["id"], "call.placed", "placed")
    assert event.timestamp == data.finished_at == datetime(2025, 11, 22, 8, 15, 31, tzinfo=UTC)
    assert data.accepted_at == datetime(2025, 11, 22, 8, 15, 30, 123_000, tzinfo=UTC)
    assert (data.id, data.account, data.note, data.country) == ("order-1", "acme", "for Grüße", "1")
    assert (data.phone, data.attempts) == ("******0123", 2)
    assert (data.ref, event.error) == ("97A677DD3E0A42B8EA58D93D05BAC89F", None)


def test_error_has_the_fields_of_a_rejection() -> None:
    """A rejection says what is wrong with each field; other errors have no fields."""
    refused = Failure("INVALID_JOB", "the job is not valid", {"phone": "must be 5 to 15 digits"})
    event = Event.parse(published(refused, Status.REJECTED))
    assert event.error == Error("INVALID_JOB", "the job is not valid", {"phone": "must be 5 to 15 digits"})
    failed = Event.parse(published(Failure("INVALID_TELEPHONE", "no such number"), Status.FAILED))
    assert failed.error == Error("INVALID_TELEPHONE", "no such number", {})
    assert failed.data.ref is None


def test_unknown_types_and_fields_are_kept() -> None:
    """What a later version adds is no error, and a program that knows it finds it in `raw`."""
    raw = {
        "id": "evt_1",
        "type": "endpoint.moved",
        "timestamp": "2026-11-22T08:15:30.123Z",
        "data": {"account": "acme", "endpoint": "orders", "to": ["somewhere"]},
        "later": 1,
    }
    event = Event.parse(json.dumps(raw))
    assert (event.type, event.status, event.data.id, event.data.account) == (
        "endpoint.moved",
        None,
        "",
        "acme",
    )
    assert event.raw == raw


@given(data=st.dictionaries(st.sampled_from(["id", "note", "attempts", "accepted_at", "error"]), json_values))
def test_fields_of_another_type_count_as_absent(data: dict[str, Any]) -> None:
    """No value of a known field makes an event unreadable."""
    raw = {"id": "evt_1", "type": "call.placed", "timestamp": "2026-11-22T08:15:30Z", "data": data}
    event = Event.of(raw)
    assert isinstance(event.data.id, str)
    assert isinstance(event.data.attempts, int)


@given(text=st.binary(max_size=64) | json_values.map(json.dumps))
def test_anything_else_is_one_error(text: bytes | str) -> None:
    """A text that is no event raises InvalidEvent, which repeats none of it."""
    with pytest.raises(
        InvalidEvent, match="^the event (is not JSON|lacks an id, a type, a timestamp or data)$"
    ):
        Event.parse(text)


def test_deep_text_is_one_error() -> None:
    """A text that Python cannot parse because of its depth is no event, either."""
    with pytest.raises(InvalidEvent):
        Event.parse("[" * 200_000)


def test_event_can_be_kept_and_handed_on() -> None:
    """Events may be keys, and are the same after pickling, as task queues and process pools do it."""
    event = Event.parse(published(Failure("EXPIRED", "too late"), Status.EXPIRED))
    assert pickle.loads(pickle.dumps(event)) == event
    assert {event: 1}[event] == 1
    assert "raw" not in repr(event)
