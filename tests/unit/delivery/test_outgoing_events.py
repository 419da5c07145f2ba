"""The end of a job, as its event tells it."""

from __future__ import annotations

import pytest

from worker.core.events import Status, Subject, conclude
from worker.delivery.ports import OutgoingEvent

NOTE = '"timestamp":"2001-01-01T00:00:00.000Z"'


def test_the_end_is_read_from_the_event() -> None:
    """It is that of the event itself, whatever the job's note says."""
    subject = Subject("job-1", "acme", note=NOTE)
    event = conclude(
        subject,
        "0" * 32,
        Status.PLACED,
        attempts=1,
        accepted_at_us=0,
        finished_at_us=1_763_799_330_123_456,
        event_id="evt_1",
    )
    assert OutgoingEvent(event.type, event.body).ended_at == 1_763_799_330.123


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("endpoint.failing", f"{{{NOTE}}}"),
        ("call.placed", "{}"),
        ("call.placed", '{"timestamp":"soon"}'),
        ("call.placed", '{"timestamp":"2001'),
        ("call.placed", f"{' ' * 200}{NOTE}"),
    ],
)
def test_an_event_of_another_kind_or_form_tells_no_end(kind: str, body: str) -> None:
    """Events are published as they are, also those of another version."""
    assert OutgoingEvent(kind, body).ended_at is None
