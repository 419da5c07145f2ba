"""The JSON Schemas in docs/reference say what the program takes and tells, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ops.schemas import texts
from tests.doubles.samples import accounts
from tests.ops.examples import events, jobs, schema, schema_for, validator
from worker.core.cancels import NOT_FOUND, Cancel, Stays
from worker.core.events import Event, Failure, Status, Subject, conclude, event_id_from, event_type
from worker.core.jobs import Job
from worker.core.judging import Submission, decode, judge
from worker.core.notices import Notice, conflict, not_canceled
from worker.core.records import Foreign, Seen, Source
from worker.core.repeats import OTHER_FIELDS
from worker.errors import InvalidJob

JOB, EVENT, CANCEL_MESSAGE = "job.schema.json", "event.schema.json", "cancel.schema.json"
JOB_EVENT = "job-event.schema.json"
GOOD: dict[str, Any] = {
    "id": "job-1", "account": "acme", "country": "1", "phone": "2125555555", "code": "7391"
}  # fmt: skip
WITHOUT = ...

GOOD_CHANGES: list[dict[str, Any]] = [
    {},
    {"id": "A-z_0:9" * 9},
    {"account": "a.b-c_D"},
    {"country": 1}, {"country": 999}, {"country": "44"},
    {"phone": "12345"}, {"phone": "1" * 15}, {"phone": 10000}, {"phone": 10**15 - 1}, {"phone": "0021255"},
    {"code": "100"}, {"code": "99999"}, {"code": 100}, {"code": 99999},
    {"ext": "0"}, {"ext": "0" * 20}, {"ext": 0}, {"ext": 10**20 - 1},
    {"message": "Japanese"},
    {"ref": ""}, {"ref": "é" * 255}, {"ref": "a\nb"}, {"ref": "😀" * 255},
    {"expires_at": "2026-11-22T08:15:30Z"}, {"expires_at": "2026-11-22 08:15:30.123456789+05:30"},
    {"expires_at": "2026-11-22t08:15:60z"}, {"expires_at": "1970-01-01T00:00:00-00:00"},
    {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, {"traceparent": "none"},
    {"tracestate": "a=1,b=2"}, {"tracestate": ""}, {"tracestate": "é" * 600},
    {"ext": None, "message": None, "ref": None, "expires_at": None, "exttype": None, "unknown": None},
    {"traceparent": None, "tracestate": None},
]  # fmt: skip
BAD_CHANGES: list[dict[str, Any]] = [
    {"id": WITHOUT}, {"account": WITHOUT}, {"country": WITHOUT}, {"phone": WITHOUT}, {"code": WITHOUT},
    {"id": None}, {"account": None}, {"country": None}, {"phone": None}, {"code": None},
    {"id": ""}, {"id": "a" * 65}, {"id": "a b"}, {"id": 7}, {"id": "job\n"}, {"id": "é"},
    {"account": ""}, {"account": "a" * 65}, {"account": "acme:1"}, {"account": 1},
    {"country": "01"}, {"country": "1234"}, {"country": 0}, {"country": 1000}, {"country": "+1"}, {"country": True},
    {"phone": "1234"}, {"phone": "1" * 16}, {"phone": 9999}, {"phone": 10**15}, {"phone": -12345},
    {"phone": "212-555-5555"}, {"phone": "2125555555\n"}, {"phone": "٢١٢٥٥٥٥"}, {"phone": 1.5},
    {"code": "0123"}, {"code": "99"}, {"code": 99}, {"code": "100000"}, {"code": 100000}, {"code": "4711\n"},
    {"code": ["4711"]}, {"code": {"pin": "4711"}},
    {"ext": ""}, {"ext": "1,2"}, {"ext": "1" * 21}, {"ext": 10**20}, {"ext": -1}, {"ext": "x"}, {"ext": False},
    {"message": "english"}, {"message": "Arabic"}, {"message": ""}, {"message": 1}, {"message": ["English"]},
    {"ref": "a" * 256}, {"ref": 4711}, {"ref": ["a"]},
    {"expires_at": "2026-11-22T08:15:30"}, {"expires_at": "2026-11-22"}, {"expires_at": "tomorrow"},
    {"expires_at": 1795335330}, {"expires_at": "2026-11-22T08:15Z"}, {"expires_at": "2026-11-22T08:15:30Z\n"},
    {"traceparent": 1}, {"traceparent": ["00"]}, {"tracestate": True}, {"tracestate": {}},
    {"exttype": "1"}, {"exttype": 2}, {"pin": "4711"}, {"": ""},
]  # fmt: skip
BEYOND_A_SCHEMA: list[tuple[dict[str, Any], str]] = [
    ({"code": 4711.0}, "without a fraction"),
    ({"ref": "\ud800"}, "lone surrogate"),
    ({"expires_at": "2026-02-30T00:00:00Z"}, "must exist in the calendar"),
    ({"expires_at": "0001-01-01T00:00:00+23:00"}, "in UTC too"),
]
"""What the schema takes and the worker refuses, and the words of the schema that say so."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda child: st.lists(child, max_size=3) | st.dictionaries(st.text(), child, max_size=3),
    max_leaves=5,
)
near_values = st.from_regex(r"[0-9]{0,22}\n?", fullmatch=True) | st.integers(-(10**21), 10**21)

SUBJECT = Subject("job-1", "acme", "a note", "44", "******5555")
ENDS: list[tuple[Status, str | Failure, Subject]] = [
    (Status.PLACED, "97A677DD3E0A42B8EA58D93D05BAC89F", SUBJECT),
    (Status.FAILED, Failure("INVALID_TELEPHONE", "no such number"), SUBJECT),
    (Status.FAILED, Failure("UNKNOWN_ERROR", "what came"), SUBJECT),
    (Status.FAILED, Failure("PROVIDER_UNAVAILABLE", "all attempts failed"), SUBJECT),
    (Status.UNKNOWN, Failure("OUTCOME_UNKNOWN", "no answer"), SUBJECT),
    (Status.EXPIRED, Failure("EXPIRED", "too late"), SUBJECT),
    (Status.EXPIRED, Failure("CANCELED", "taken back"), SUBJECT),
    (
        Status.REJECTED,
        Failure("INVALID_JOB", "not valid", {"phone": "is required"}),
        Subject("job-1", "acme"),
    ),
    (Status.REJECTED, Failure("UNKNOWN_ACCOUNT", "none", {"account": "is not there"}), SUBJECT),
    (Status.REJECTED, Failure("DESTINATION_BLOCKED", "no", {"country": "is not allowed"}), SUBJECT),
]


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (GOOD | changes).items() if value is not WITHOUT}


def is_job(fields: object) -> bool:
    """Return whether the worker accepts the fields as a job."""
    try:
        Job.parse(fields)
    except InvalidJob:
        return False
    return True


def ended(status: Status, outcome: str | Failure, subject: Subject) -> Event:
    return conclude(
        subject,
        outcome,
        status,
        attempts=0,
        accepted_at_us=0,
        finished_at_us=1_795_335_330_123_456,
        event_id=event_id_from(subject.id),
    )


@pytest.mark.parametrize("name", texts())
def test_schema_is_the_one_that_the_models_give(name: str) -> None:
    """The schema on file is the one that the models give; after a change of a model, `make reference` writes it."""
    assert schema(name) == json.loads(texts()[name])


@pytest.mark.parametrize("name", texts())
def test_schema_is_valid(name: str) -> None:
    """Each schema fits the meta-schema of JSON Schema 2020-12."""
    Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize("changes", GOOD_CHANGES, ids=repr)
def test_good_job_is_good_by_schema_and_worker(changes: dict[str, Any]) -> None:
    """A job that the worker accepts is also valid by the schema."""
    assert is_job(changed(changes))
    validator(JOB).validate(changed(changes))


@pytest.mark.parametrize("changes", BAD_CHANGES, ids=repr)
def test_bad_job_is_bad_by_schema_and_worker(changes: dict[str, Any]) -> None:
    """A producer that validates by the schema hears of the mistake before it sends."""
    assert not is_job(changed(changes))
    assert not validator(JOB).is_valid(changed(changes))


@pytest.mark.parametrize("value", [None, [], "job", 7, [GOOD]], ids=repr)
def test_what_is_no_object_is_no_job(value: Any) -> None:
    """Neither the schema nor the worker accepts a value that is no object."""
    assert not is_job(value) and not validator(JOB).is_valid(value)


@given(st.sampled_from([*Job.model_fields, "x"]), json_values | near_values)
def test_schema_and_worker_agree_on_any_value(name: str, value: Any) -> None:
    """For every field; integers that are written with a fraction and surrogates apart, as the schema says."""
    if isinstance(value, float) and value.is_integer():
        return
    fields = GOOD | {name: value}
    assert validator(JOB).is_valid(fields) == is_job(fields)


@pytest.mark.parametrize(("changes", "words"), BEYOND_A_SCHEMA, ids=repr)
def test_rule_beyond_a_schema_is_in_its_description(changes: dict[str, Any], words: str) -> None:
    """A producer can know of what only the worker checks."""
    assert validator(JOB).is_valid(changed(changes)) and not is_job(changed(changes))
    assert words in json.dumps(schema(JOB))


def test_field_that_is_given_twice_is_described_as_refused() -> None:
    """A JSON reader gives a schema the last value alone; the worker sees both."""
    fields = decode(json.dumps(GOOD)[:-1] + ', "phone": "2125550000"}')
    assert not is_job(fields) and "no field occurs more than once" in schema(JOB)["description"]


def test_task_may_leave_the_id_to_celery() -> None:
    """The fields of a Celery task are a job whose id may be absent or null."""
    fields = validator(JOB, "#/$defs/fields")
    assert fields.is_valid(changed({"id": WITHOUT})) and fields.is_valid(changed({"id": None}))
    assert not fields.is_valid(changed({"id": "a b"})) and not fields.is_valid(changed({"code": WITHOUT}))


@pytest.mark.parametrize(("status", "outcome", "subject"), ENDS, ids=lambda value: str(value)[:40])
def test_event_is_valid_and_has_the_fields_of_its_schema_alone(
    status: Status, outcome: str | Failure, subject: Subject
) -> None:
    """Each event fits the schema of all, that of its type and no other; a field that is added must be told there."""
    event = ended(status, outcome, subject)
    body = json.loads(event.body)
    validator(EVENT).validate(body)
    fitting = [name for name in map(event_type, Status) if validator(EVENT, f"#/$defs/{name}").is_valid(body)]
    assert fitting == [event.type]
    properties = schema(EVENT)["$defs"][event.type]["properties"]
    assert body.keys() == properties.keys()
    assert body["data"].keys() == properties["data"]["properties"].keys()


@pytest.mark.parametrize(
    "changes",
    [
        {"phone": "2125555555"}, {"phone": None}, {"attempts": -1}, {"attempts": "1"}, {"ref": ""}, {"ref": "a" * 301},
        {"accepted_at": "2026-11-22T08:15:30Z"}, {"note": 7}, {"id": "a b"}, {"country": "+1"},
    ],
    ids=repr,
)  # fmt: skip
def test_what_no_event_holds_is_invalid(changes: dict[str, Any]) -> None:
    """The schema refuses what no event may hold, a whole number above all."""
    body = json.loads(ended(*ENDS[0]).body)
    assert not validator(EVENT).is_valid(body | {"data": body["data"] | changes})


CANCELS: list[tuple[dict[str, Any], bool]] = [
    ({"cancel": "order-1"}, True), ({"cancel": "order-1", "account": "acme"}, True),
    ({"cancel": "order-1", "account": None, "why": None}, True),
    ({}, False), ({"cancel": None}, False), ({"cancel": 7}, False), ({"cancel": "a b"}, False),
    ({"cancel": "order-1", "account": "acme:1"}, False), ({"cancel": "order-1", "why": "twice"}, False),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "good"), CANCELS, ids=repr)
def test_cancel_is_good_by_schema_and_worker(fields: dict[str, Any], good: bool) -> None:
    """A producer that validates by the schema hears of a mistake before it sends."""
    verdict = judge(Submission(fields, Source.QUEUE, cancels=True), accounts())
    assert isinstance(verdict, Cancel) == validator(CANCEL_MESSAGE).is_valid(fields) == good


NOTICES = [
    not_canceled(Cancel("job-1"), Stays("acme", "dialling", 2), "here"),
    not_canceled(Cancel("job-1", "globex"), Stays("globex", NOT_FOUND), "here"),
    *(not_canceled(Cancel("job-1"), Stays("acme", status), "here") for status in Status),
    *(
        conflict("job-1", "acme", known, "content", b"secret")
        for known in (
            Seen("waiting", ("phone", "code")),
            Seen("settling", ("ref",)),
            Seen("placed", OTHER_FIELDS),
            Foreign(),
        )
    ),
]


@pytest.mark.parametrize("notice", NOTICES)
def test_notice_is_valid_and_has_the_fields_of_its_schema_alone(notice: Notice) -> None:
    """Each fits the schema of its type; a field that is added must be told there."""
    body = json.loads(notice.body)
    validator(JOB_EVENT).validate(body)
    properties = schema(JOB_EVENT)["$defs"][notice.type]["properties"]
    assert body["type"] == notice.type and body["data"].keys() == properties["data"]["properties"].keys()


def test_examples_of_jobs_are_valid() -> None:
    """Examples in README and pages are valid; those for Celery and this package's producer may leave out the id."""
    found = jobs()
    assert len(found) >= 3
    for job in found:
        validator(JOB, "" if "id" in job else "#/$defs/fields").validate(job)


def test_examples_of_events_are_valid() -> None:
    """Each example in the README and the pages fits the schema."""
    found = events()
    assert len(found) >= 4
    for event in found:
        validator(schema_for(event)).validate(event)
