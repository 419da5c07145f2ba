"""Terminal events have the contract's shape, in bytes that never change."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.events import Failure, Status, Subject, conclude, event_type, id_of_end, rfc3339
from worker.core.jobs import Job

REF = "97A677DD3E0A42B8EA58D93D05BAC89F"
JOB = Job.parse(
    {"id": "job-1", "account": "acme", "country": "1", "phone": "2125555555", "code": "7391", "ref": "a note"}
)
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"

ENDS = st.tuples(
    st.sampled_from(["here", "there"]),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["a", "b"]),
    st.integers(0, 2),
    st.integers(0, 2),
)
notes = st.text(st.characters(exclude_categories=["Cs"]), max_size=255)


FORKING = """
import os
from worker.core.events import new_event_id

def tell():
    print(new_event_id(), flush=True)

tell()
for _ in range(3):
    if not (child := os.fork()):
        tell()
        os._exit(0)
    os.waitpid(child, 0)
tell()
"""


@given(unix_us=st.integers(-(2**70), 2**70))
def test_time_of_any_size_can_be_told(unix_us: int) -> None:
    """A record with a time that no calendar holds, which an earlier version has written, is still shown (C6)."""
    assert len(rfc3339(unix_us)) == len("2025-11-22T08:15:30.123Z")


def test_processes_that_fork_give_their_events_different_ids() -> None:
    """A parent that has given out ids before, and its children, never give the same one."""
    done = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, check=True)
    ids = done.stdout.split()
    assert len(ids) == len(set(ids)) == 5


def ended(outcome: str | Failure, status: Status, subject: Subject | None = None) -> dict[str, Any]:
    event = conclude(
        subject or Subject.of(JOB),
        outcome,
        status,
        attempts=1,
        accepted_at_us=1763799329000000,
        finished_at_us=1763799330123456,
        event_id=id_of_end("here", "acme", "job-1", 1763799329000000, 1),
    )
    body: dict[str, Any] = json.loads(event.body)
    assert (body["id"], body["type"]) == (event.id, event.type)
    return body


def test_placed_event_is_the_example_of_the_contract() -> None:
    """The event agrees field by field, and in the same order."""
    body = ended(REF, Status.PLACED)
    assert list(body) == ["id", "type", "timestamp", "data"]
    assert re.fullmatch(r"evt_[0-9a-f]{32}", body["id"])
    assert (body["type"], body["timestamp"]) == ("call.placed", "2025-11-22T08:15:30.123Z")
    assert list(body["data"].items()) == [
        ("id", "job-1"),
        ("account", "acme"),
        ("note", "a note"),
        ("country", "1"),
        ("phone", "******5555"),
        ("attempts", 1),
        ("accepted_at", "2025-11-22T08:15:29.000Z"),
        ("finished_at", "2025-11-22T08:15:30.123Z"),
        ("ref", REF),
    ]


@pytest.mark.parametrize("status", [Status.FAILED, Status.UNKNOWN, Status.EXPIRED])
def test_event_without_a_ref_has_an_error(status: Status) -> None:
    """It has a code and a message, no ref, and no fields."""
    body = ended(Failure("INVALID_TELEPHONE", "not valid"), status)
    assert body["type"] == f"call.{status}"
    assert body["data"]["error"] == {"code": "INVALID_TELEPHONE", "message": "not valid"}
    assert "ref" not in body["data"]


def test_rejected_event_names_the_fields() -> None:
    """The event has each field's error, and null for unreadable values."""
    failure = Failure("INVALID_JOB", "the job is not valid", {"phone": "must be 5 to 15 digits"})
    data = ended(failure, Status.REJECTED, Subject("job-1", "acme"))["data"]
    assert data["error"]["fields"] == {"phone": "must be 5 to 15 digits"}
    assert (data["note"], data["country"], data["phone"]) == (None, None, None)


def test_there_are_five_types() -> None:
    """No more and no fewer: routing keys hang on them."""
    assert {event_type(status) for status in Status} == {
        "call.placed",
        "call.failed",
        "call.unknown",
        "call.expired",
        "call.rejected",
    }


@given(st.lists(ENDS, min_size=2, max_size=2))
def test_the_id_of_an_end_names_that_end(ends: list[tuple[str, str, str, int, int]]) -> None:
    """Subscribers drop repeats by it: the same end has the same id, each other one has an id of its own."""
    first, second = (id_of_end(*end) for end in ends)
    assert (first == second) == (ends[0] == ends[1])
    assert first == id_of_end(*ends[0]) and re.fullmatch("evt_[0-9a-f]{32}", first)


@given(notes, st.text(st.characters(exclude_categories=["Cs"])))
def test_body_is_one_line_of_utf8_json(note: str, message: str) -> None:
    """Whatever the note and the provider's message hold, they come back as they were."""
    event = conclude(
        Subject("job-1", "acme", note),
        Failure("X", message),
        Status.FAILED,
        attempts=0,
        accepted_at_us=0,
        finished_at_us=0,
        event_id="evt_1",
    )
    data = json.loads(event.body.encode())["data"]
    assert (data["note"], data["error"]["message"]) == (note, message) and "\n" not in event.body


@given(st.from_regex(r"[0-9]{7,15}", fullmatch=True), st.from_regex(r"[1-9][0-9]{4}", fullmatch=True))
def test_event_holds_neither_pin_nor_phone(phone: str, code: str) -> None:
    """Only the last four digits of the number are in it."""
    fields = {"id": "job-x", "account": "acme", "country": "1", "phone": phone, "code": code}
    body = ended(REF, Status.PLACED, Subject.of(Job.parse(fields)))
    assert phone not in str(body["data"]) and body["data"]["phone"].endswith(phone[-4:])
    assert code not in str(body["data"]).replace(phone[-4:], "")


@given(st.integers(0, 4_000_000_000_000_000))
def test_time_is_rfc3339_in_utc_cut_to_milliseconds(unix_us: int) -> None:
    """Never rounded up: nothing finishes in the future."""
    text = rfc3339(unix_us)
    assert re.fullmatch(TIME, text)
    assert round(datetime.fromisoformat(text).timestamp() * 1000) == unix_us // 1000
