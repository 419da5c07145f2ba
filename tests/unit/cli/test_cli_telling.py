"""Lines for people: events, waits, spans of time."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from worker.cli.job import describe_wait
from worker.cli.output import printable, span, table
from worker.cli.results import describe
from worker.core.records import Reason
from worker.state.job_view import Wait
from worker.state.views import _history

DATA = {"id": "j1", "account": "acme", "phone": "******0123", "attempts": 2}
MOMENT = "2026-11-22T08:15:30.123Z"


def test_placed_event_is_told_with_its_ref() -> None:
    """A placed call's line has time, status, job, account, number and ref."""
    body = json.dumps({"type": "call.placed", "timestamp": MOMENT, "data": {**DATA, "ref": "A" * 32}})
    assert describe(body) == f"{MOMENT}  placed    j1  acme  ******0123  2 sent  {'A' * 32}"


def test_rejected_event_is_told_with_its_fields() -> None:
    """An error's line has its code, message and the fields at fault."""
    error = {"code": "INVALID_JOB", "message": "the job is not valid", "fields": {"code": "is required"}}
    body = json.dumps(
        {"type": "call.rejected", "timestamp": MOMENT, "data": {**DATA, "phone": None, "error": error}}
    )
    assert describe(body).endswith("INVALID_JOB: the job is not valid; code: is required")


def test_event_of_another_type_is_told_with_its_fields() -> None:
    """An event that is no job's, known or not, is one line with the type and all that it says."""
    data = {"account": "acme", "endpoint": "calls", "reason": "gone", "failures": 12}
    body = json.dumps({"type": "endpoint.disabled", "timestamp": MOMENT, "data": data})
    told = "account: acme, endpoint: calls, reason: gone, failures: 12"
    assert describe(body) == f"{MOMENT}  endpoint.disabled  {told}"


@pytest.mark.parametrize(
    "body", ["", "[]", "null", '{"type": 1}', '{"type": "x", "timestamp": 1, "data": []}', '"x\\u001b[2J"']
)
def test_foreign_message_is_shown_and_cannot_move_the_cursor(body: str) -> None:
    """A message that is no event is printed as it is, with control characters escaped."""
    assert describe(body).isprintable()


def test_error_text_with_control_signs_is_spelled_out() -> None:
    """A provider's message cannot clear the terminal."""
    error = {"code": "INVALID_X", "message": "\x1b[2Jgone"}
    body = json.dumps({"type": "call.failed", "timestamp": MOMENT, "data": {**DATA, "error": error}})
    assert "\\x1b[2Jgone" in describe(body)


@pytest.mark.parametrize(
    ("wait", "told"),
    [
        (
            Wait(Reason.RATE_LIMIT, 1, 1_800_000_000_000_000, 7, None),
            "rate limit, until about 2027-01-15",
        ),
        (Wait(Reason.BACKOFF, 1, 1_800_000_000_000_000, 0, None), "its next attempt, until 2027-01-15"),
        (Wait(Reason.CONCURRENCY, 1, None, 0, None), "the end of another call"),
        (Wait(Reason.NO_PLACES, 1, None, 0, None), "a free place at a worker"),
        (Wait(Reason.PAUSED, 1, None, 0, None), "`callworker doctor` says why"),
        (Wait(Reason.PAUSED, 1, None, 0, None, True), "; it expires before its turn"),
        (
            Wait(Reason.HELD, 1, 1_800_000_000_000_000, 0, "NO_POINTS"),
            "held (NO_POINTS); one job tries again 2027",
        ),
        (Wait(Reason.HELD, 1, None, 0, "operator"), "held (operator), until `callworker accounts resume`"),
    ],
)
def test_wait_is_told_with_why_and_until_when(wait: Wait, told: str) -> None:
    """Each reason has a sentence of its own."""
    assert told in describe_wait(wait)


def test_history_leaves_out_a_line_that_was_cut() -> None:
    """The oldest step of a long history may be half a line; the rest is read."""
    steps = _history(
        "34 waiting\n1763799330123 waiting backoff the provider said 503\n1763799331000 dialling\n"
    )
    assert [(step.name, step.detail) for step in steps] == [
        ("waiting", "backoff the provider said 503"),
        ("dialling", ""),
    ]
    assert steps[0].at_us == 1763799330123000


def test_table_cells_are_never_read_as_markup() -> None:
    """Brackets and control signs in a cell come out as they are."""
    console = Console(width=80)
    with console.capture() as capture:
        console.print(table(("a",), [("[bold]x[/]\x07",)]))
    assert "[bold]x[/]\\x07" in capture.get()


@pytest.mark.parametrize(
    ("seconds", "told"), [(0, "0 s"), (1.23, "1.2 s"), (45, "45 s"), (200, "3 min 20 s"), (7300, "2 h 1 min")]
)
def test_spans_are_told_in_people_s_units(seconds: float, told: str) -> None:
    """Seconds, minutes, hours: two units at most."""
    assert span(seconds) == told


def test_printable_keeps_letters_of_all_languages() -> None:
    """Only control signs are spelled out."""
    assert printable("Łódź 東京\n") == "Łódź 東京\\n"
