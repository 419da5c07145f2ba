"""A broker's messages are read into requests, or it is said why not; nothing that a producer writes raises."""

from __future__ import annotations

import json

import pytest

from tests.doubles.samples import account, accounts
from worker.broker.queues import CANCEL_TASK_NAME, TASK_NAME
from worker.core.cancels import Cancel
from worker.core.judging import MAX_MARKS, OVERLOADED, Broken, Rejected, Submission, judge
from worker.inbound.messages import Envelope, read_plain, read_task

JOB = {"id": "job-1", "account": "acme", "country": "1", "phone": "2125555555", "code": "4321"}
FIELDS = json.dumps(JOB)[:-1] + ', "phone": "2125550142"}'
HEADERS = {"task": TASK_NAME, "id": "task-1"}


def envelope(body: str, **headers: str) -> Envelope:
    return Envelope(headers, "application/json", body.encode())


@pytest.mark.parametrize("way", ["protocol 2", "protocol 1", "plain"])
def test_a_number_given_twice_is_rejected_whatever_the_way_in(way: str) -> None:
    """The last one must not win: the job ends as rejected, with the field's name (C9)."""
    request = {
        "protocol 2": lambda: read_task(envelope(f"[[], {FIELDS}, {{}}]", **HEADERS)),
        "protocol 1": lambda: read_task(
            envelope(f'{{"task": "{TASK_NAME}", "id": "t", "kwargs": {FIELDS}}}')
        ),
        "plain": lambda: read_plain(envelope(FIELDS)),
    }[way]()
    assert isinstance(request, Submission)
    verdict = judge(request, accounts(account("acme")))
    assert isinstance(verdict, Rejected) and verdict.failure.fields == {"phone": "occurs more than once"}


@pytest.mark.parametrize("name", ["task", "kwargs", "args"])
def test_a_celery_message_that_says_one_thing_twice_is_broken(name: str) -> None:
    """A message with two tasks or arguments is broken: neither is chosen. Only the id has a stand-in (C9)."""
    good = json.dumps({"task": TASK_NAME, "id": "t", "args": [], "kwargs": JOB})
    second = json.dumps({name: {"task": TASK_NAME, "kwargs": JOB, "args": []}[name]})[1:]
    assert isinstance(read_task(envelope(f"{good[:-1]}, {second}")), Broken)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("[" * MAX_MARKS, "not valid JSON"),
        ("[" * 60_000, OVERLOADED.reason),
        ("[[], " + '{"a":' * 12_000, OVERLOADED.reason),
        (f"[[], {FIELDS}, NaN]", "not valid JSON"),
        ("7" * 5000, "not valid JSON"),
    ],
)
def test_text_that_is_no_json_is_broken(body: str, reason: str) -> None:
    """Deep nesting and numbers without end too; what is deeper or wider than any job is not even decoded (E1)."""
    assert read_task(envelope(body, **HEADERS)) == Broken(reason, "task-1")
    assert isinstance(read_plain(envelope(body)), Broken)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ("[[1], {}, {}]", HEADERS),
        ("{}", HEADERS),
        ("[[], {}]", {**HEADERS, "task": "other"}),
        ("[[], {}]", {**HEADERS, "compression": "gzip"}),
        (json.dumps({"task": TASK_NAME, "id": "task-1", "args": [1]}), {}),
    ],
)
def test_task_that_is_no_job_keeps_its_id(body: str, headers: dict[str, str]) -> None:
    """Sent again out of the dead letters it must be the same job, not a further call (D7)."""
    found = read_task(envelope(body, **headers))
    assert isinstance(found, Broken)
    assert found.job_id == "task-1"


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'Application/JSON ; charset="utf-8";',
        "JSON",
    ],
)
def test_content_type_of_json_is_known_in_any_spelling(content_type: str) -> None:
    """A job is not lost to what a producer's library writes behind its content type."""
    body = json.dumps(JOB).encode()
    assert isinstance(read_plain(Envelope({}, content_type, body)), Submission)
    assert isinstance(read_task(Envelope(HEADERS, content_type, b"[[], " + body + b", {}]")), Submission)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=latin-1",
        "application/jsonp",
        "text/plain",
        "application/x-python-serialize",
        ["json"],
    ],
)
def test_other_content_types_are_refused(content_type: str) -> None:
    """A message whose content type is not JSON is not read."""
    body = json.dumps(JOB).encode()
    assert isinstance(read_plain(Envelope({}, content_type, body)), Broken)
    assert isinstance(read_task(Envelope(HEADERS, content_type, b"[[], " + body + b", {}]")), Broken)


@pytest.mark.parametrize("fields", [{"id": "job-1"}, {"id": "job-1", "account": "acme"}])
@pytest.mark.parametrize("way", ["protocol 2", "protocol 1", "plain"])
def test_a_cancel_is_read_whatever_the_way_in(way: str, fields: dict[str, str]) -> None:
    """A Celery task names the job as `id`, plain JSON as `cancel`; a task's own id is not the job's."""
    plain = {"cancel": fields["id"], **{name: value for name, value in fields.items() if name != "id"}}
    task = {"task": CANCEL_TASK_NAME, "id": "task-1"}
    submission = {
        "protocol 2": lambda: read_task(envelope(json.dumps([[], fields, {}]), **task)),
        "protocol 1": lambda: read_task(envelope(json.dumps({**task, "kwargs": fields}))),
        "plain": lambda: read_plain(envelope(json.dumps(plain))),
    }[way]()
    assert isinstance(submission, Submission)
    assert judge(submission, accounts(account("acme"))) == Cancel("job-1", fields.get("account"))


@pytest.mark.parametrize(
    "body",
    [
        '{"cancel": null}', '{"cancel": 4711}', '{"cancel": "a", "cancel": "b"}', '{"cancel": "a b"}',
        '{"cancel": "a", "why": "twice"}', '{"cancel": "a", "account": "a:b"}',
        '{"cancel": "a", "account": "acme", "account": "globex"}', '{"cancel": ["a"]}',
    ],
)  # fmt: skip
def test_a_cancel_that_says_more_or_less_is_broken(body: str) -> None:
    """It becomes a dead letter: nobody may guess which job is meant."""
    submission = read_plain(envelope(body))
    assert isinstance(submission, Submission)
    assert isinstance(judge(submission, accounts(account("acme"))), Broken)


def test_a_celery_cancel_without_an_id_is_broken() -> None:
    """The task's own id is no job's."""
    submission = read_task(envelope("[[], {}, {}]", task=CANCEL_TASK_NAME, id="task-1"))
    assert isinstance(submission, Submission)
    assert isinstance(judge(submission, accounts(account("acme"))), Broken)


def test_a_job_with_a_field_cancel_is_a_job() -> None:
    """What has an id is no cancel: it is rejected, because the field is unknown."""
    submission = read_plain(envelope(json.dumps(JOB | {"cancel": "other"})))
    assert isinstance(submission, Submission)
    verdict = judge(submission, accounts(account("acme")))
    assert isinstance(verdict, Rejected) and set(verdict.failure.fields or ()) == {"cancel"}
