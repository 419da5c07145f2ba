"""What the client sends: what it checks before anything is sent, and the messages it makes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callworker import Client, ConfigurationError, InvalidJob, Job
from callworker.client import CHUNK
from callworker.message import queue_of
from tests.unit.client.recorder import Recorder
from worker.broker.queues import SHARD_QUEUES
from worker.broker.queues import queue_of as queue_of_worker

FIELDS = {"account": "acme", "country": "1", "phone": "2125550123", "code": "48151"}
URL = "redis://localhost"
CONTEXT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_job_becomes_a_celery_message(recorder: Recorder) -> None:
    """A protocol 2 message for task `calls.verify`: the fields are keyword arguments, the id is both ids."""
    assert Client(URL).enqueue({"id": "job-1", "ref": "Grüße", **FIELDS}) == "job-1"
    (message,) = recorder.messages
    assert (message.headers["task"], message.headers["id"], message.task_id) == (
        "calls.verify",
        "job-1",
        "job-1",
    )
    assert message.headers["ignore_result"] is True
    assert recorder.kwargs() == [{"id": "job-1", "ref": "Grüße", **FIELDS}]


def test_headers_do_not_show_the_job(recorder: Recorder) -> None:
    """The headers, from which Celery and Flower print a task, have no field's value."""
    Client(URL).enqueue(Job(**FIELDS, id="job-1", ref="secret-note"))
    (message,) = recorder.messages
    shown = str(message.headers) + message.queue
    assert message.headers["argsrepr"] == message.headers["kwargsrepr"] == "(hidden)"
    assert not any(value in shown for value in (FIELDS["phone"], FIELDS["code"], "secret-note"))


def test_missing_id_is_made_up(recorder: Recorder) -> None:
    """Two jobs without an id get two, which are in the messages too."""
    first, second = Client(URL).enqueue_many([FIELDS, Job(**FIELDS)])
    assert first != second
    assert [fields["id"] for fields in recorder.kwargs()] == [first, second]


def test_invalid_job_is_readable_and_shows_no_values(recorder: Recorder) -> None:
    """Every wrong field is named with its rule; nothing is sent."""
    with pytest.raises(InvalidJob) as caught:
        Client(URL).enqueue({"account": "acme", "phone": "+12125550123", "code": "01234", "colour": "x"})
    assert set(caught.value.fields) == {"country", "phone", "code", "colour"}
    assert "2125550123" not in str(caught.value) and "01234" not in str(caught.value)
    assert recorder.batches == []


def test_one_invalid_job_of_many_is_named_and_nothing_is_sent(recorder: Recorder) -> None:
    """The good jobs around it stay unsent."""
    jobs: list[Mapping[str, Any]] = [FIELDS, {"id": "job-7", "account": "acme"}, FIELDS]
    with pytest.raises(InvalidJob, match=r"job 1 \(job-7\) is not valid"):
        Client(URL).enqueue_many(jobs)
    assert recorder.batches == []


def test_many_jobs_go_in_order_with_progress(recorder: Recorder) -> None:
    """Any iterable is taken, ids and messages keep its order, and progress counts the jobs sent."""
    count, told = 2 * CHUNK + 7, list[int]()
    jobs = ({"id": f"job-{n}", **FIELDS} for n in range(count))
    ids = Client(URL).enqueue_many(jobs, progress=told.append)
    assert ids == [f"job-{n}" for n in range(count)] == [fields["id"] for fields in recorder.kwargs()]
    assert told == [CHUNK, 2 * CHUNK, count]


@given(st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True))
def test_account_has_the_queue_that_workers_read(account: str) -> None:
    """Client and workers find the same shard."""
    assert queue_of(account) == queue_of_worker(account).name in {queue.name for queue in SHARD_QUEUES}


def test_extended_fields_are_taken_if_they_are_allowed(recorder: Recorder) -> None:
    """As PROXSTOP_EXTENDED does for the workers."""
    older = {**FIELDS, "exttype": 1, "message": "Hindi"}
    with pytest.raises(InvalidJob):
        Client(URL).enqueue(older)
    Client(URL, extended=True).enqueue(older)
    assert recorder.kwargs()[0]["exttype"] == "1"


@pytest.mark.parametrize(
    ("given", "headers"),
    [
        ({"traceparent": CONTEXT, "tracestate": "a=1"}, {"traceparent": CONTEXT, "tracestate": "a=1"}),
        ({"traceparent": "broken\r\n", "tracestate": "é"}, {}),
        ({"traceparent": "\ud800"}, {}),
        ({}, {}),
    ],
)
def test_trace_context_goes_into_the_headers(
    recorder: Recorder, given: dict[str, str], headers: dict[str, str]
) -> None:
    """Workers of all versions take it there or ignore it; one that could be none is left out."""
    Client(URL).enqueue(FIELDS | given)
    (message,) = recorder.messages
    assert {name: message.headers[name] for name in message.headers if name.startswith("trace")} == headers
    assert not recorder.kwargs()[0].keys() & given.keys()


def test_cancel_is_a_task_of_its_own(recorder: Recorder) -> None:
    """With an account it goes to the account's queue, behind the job; without one to the queue of all accounts."""
    client = Client(URL)
    client.cancel("job-1")
    client.cancel("job-2", account="acme")
    assert [message.queue for message in recorder.messages] == ["calls", queue_of("acme")]
    assert {message.headers["task"] for message in recorder.messages} == {"calls.cancel"}
    assert recorder.kwargs() == [{"id": "job-1"}, {"id": "job-2", "account": "acme"}]
    assert len({message.task_id for message in recorder.messages}) == 2


@pytest.mark.parametrize(("job_id", "account"), [("+1 212", None), (7, None), (None, None), ("job-1", "a b")])
def test_what_cannot_be_canceled_is_an_error(recorder: Recorder, job_id: Any, account: Any) -> None:
    """Nothing is sent for an id or an account that could be none."""
    with pytest.raises(InvalidJob, match="must be"):
        Client(URL).cancel(job_id, account=account)
    assert recorder.batches == []


def test_body_is_what_json_libraries_read(recorder: Recorder) -> None:
    """The body is UTF-8 without a detour by escapes."""
    Client(URL).enqueue({**FIELDS, "ref": "é\n\u0000😀"})
    body = recorder.messages[0].body
    assert "é".encode() in body and json.loads(body)[1]["ref"] == "é\n\u0000😀"


@pytest.mark.parametrize(
    ("environ", "url", "told"),
    [
        ({}, None, "BROKER_URL or REDIS_URL"),
        ({}, "nonsense", "the broker's address must begin with redis://"),
        ({}, "kafka://host", "the broker's address must begin with redis://"),
        ({}, "redis://host;amqp://host", "the broker's address must begin with redis://"),
        ({"BROKER_URL": "redis://:hunter2@host/x#y"}, None, "BROKER_URL contains a #"),
        ({"REDIS_URL": "redis://:hunter2@host:x"}, None, "REDIS_URL cannot be read"),
        ({"BROKER_URL": "amqp://user:hunter2@host:x"}, None, "BROKER_URL cannot be read"),
        ({}, "amqp://host?hunter2=1", "option that is not known"),
        ({}, "rediss://host?ssl_ca_certs=/no/such/file", "ssl_ca_certs cannot be used"),
    ],
)
def test_wrong_address_is_an_error_at_once(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], url: str | None, told: str
) -> None:
    """It says what is wrong and where that was read, and repeats no part of the address."""
    for name in ("BROKER_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=told) as caught:
        Client(url)
    assert "hunter2" not in str(caught.value)


def test_no_jobs_need_no_broker() -> None:
    """An empty list is sent at once."""
    assert Client("redis://127.0.0.1:1").enqueue_many([]) == []
