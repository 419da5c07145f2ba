"""The producer's API: what it checks before anything is sent, and the messages it makes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from worker.broker.address import broker_url
from worker.broker.queues import TASK_QUEUES, queue_of
from worker.core.jobs import Job
from worker.errors import BrokerUnavailable, ConfigurationError, InvalidJob
from worker.producer import CHUNK, Producer, enqueue, enqueue_many
from worker.settings import Settings

MEMORY = "memory://"
FIELDS = {"account": "acme", "country": "1", "phone": "2125550123", "code": "48151"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BROKER_URL", "REDIS_URL", "CALLWORKER_STATE_DIR", "PROXSTOP_EXTENDED"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def empty_queue() -> None:
    with Connection(MEMORY) as connection:
        for queue in TASK_QUEUES:
            connection.default_channel.queue_purge(queue.name)


def sent(account: str = "acme") -> list[Any]:
    """Return the messages in the account's queue."""
    with Connection(MEMORY) as connection:
        channel, found = connection.default_channel, []
        while message := channel.basic_get(queue_of(account).name, no_ack=True):
            found.append(message)
        return found


def test_job_becomes_a_celery_message() -> None:
    """A protocol 2 message for task `calls.verify`: the fields are keyword arguments, the id is both ids."""
    assert enqueue({"id": "job-1", "ref": "Grüße", **FIELDS}, broker_url=MEMORY) == "job-1"
    (message,) = sent()
    assert (message.headers["task"], message.headers["id"]) == ("calls.verify", "job-1")
    assert message.properties["correlation_id"] == "job-1"
    assert message.headers["ignore_result"] is True
    assert (message.content_type, message.content_encoding) == ("application/json", "utf-8")
    assert message.properties["delivery_mode"] == 2
    args, kwargs, _ = json.loads(message.body)
    assert args == []
    assert kwargs == {"id": "job-1", "ref": "Grüße", "message": "English", **FIELDS}


def test_headers_do_not_show_the_job() -> None:
    """The headers, from which Celery and Flower print a task, have no field's value."""
    enqueue({"id": "job-1", **FIELDS}, broker_url=MEMORY)
    (message,) = sent()
    shown = str(message.headers) + str(message.properties)
    assert message.headers["argsrepr"] == message.headers["kwargsrepr"] == "(hidden)"
    assert FIELDS["phone"] not in shown and FIELDS["code"] not in shown


def test_missing_id_is_made_up() -> None:
    """Two jobs without an id get two, each good as an idempotency key and as the task's id."""
    first, second = enqueue_many([FIELDS, {"id": None, **FIELDS}], broker_url=MEMORY)
    assert first != second
    assert [message.headers["id"] for message in sent()] == [first, second]
    assert Job.parse({"id": first, **FIELDS}).id == first


def test_job_object_is_sent_as_it_is() -> None:
    """A Job that was checked before travels to the same Job again, times included."""
    job = Job.parse({"id": "job-1", "expires_at": "2026-11-22T08:15:30.5+01:00", "ext": "12", **FIELDS})
    enqueue(job, broker_url=MEMORY)
    (message,) = sent()
    assert Job.parse(json.loads(message.body)[1]) == job


def test_invalid_job_is_readable_and_shows_no_values() -> None:
    """Every wrong field is named with its rule; nothing is sent."""
    with pytest.raises(InvalidJob) as caught:
        enqueue(
            {"account": "acme", "phone": "+12125550123", "code": "01234", "colour": "x"}, broker_url=MEMORY
        )
    assert set(caught.value.fields) == {"country", "phone", "code", "colour"}
    assert "2125550123" not in str(caught.value) and "01234" not in str(caught.value)
    assert sent() == []


@pytest.mark.parametrize(
    ("job_id", "name"), [("job-7", "job 2 (job-7)"), (None, "job 2 is"), ("+1 212 5550123", "job 2 is")]
)
def test_one_invalid_job_of_many_is_named_and_nothing_is_sent(job_id: str | None, name: str) -> None:
    """The place is named, and the id where it is one; the good jobs around it stay unsent."""
    jobs: list[Mapping[str, Any]] = [FIELDS, FIELDS, {"id": job_id, "account": "acme"}, FIELDS]
    with pytest.raises(InvalidJob) as caught:
        enqueue_many(jobs, broker_url=MEMORY)
    assert str(caught.value).startswith(name) and "5550123" not in str(caught.value)
    assert sent() == []


def test_many_jobs_come_in_order_with_progress() -> None:
    """Any iterable is taken, ids and messages keep its order, and progress counts the jobs sent."""
    count, told = 2 * CHUNK + 7, list[int]()
    with Producer(MEMORY) as many:
        ids = many.enqueue_many(({"id": f"job-{n}", **FIELDS} for n in range(count)), progress=told.append)
    assert ids == [f"job-{n}" for n in range(count)]
    assert [message.headers["id"] for message in sent()] == ids
    assert told == [CHUNK, 2 * CHUNK, count]


def test_accounts_are_spread_over_queues() -> None:
    """Each account's jobs lie in the queue of its shard, in the order in which they were given."""
    accounts = ["acme", "globex", "initech"]
    assert len({queue_of(account).name for account in accounts}) == 3
    jobs = [{"id": f"{account}-{n}", **FIELDS, "account": account} for n in range(3) for account in accounts]
    enqueue_many(jobs, broker_url=MEMORY)
    for account in accounts:
        assert [message.headers["id"] for message in sent(account)] == [f"{account}-{n}" for n in range(3)]


def test_no_jobs_need_no_broker() -> None:
    """An empty list is sent at once."""
    assert enqueue_many([], broker_url="redis://127.0.0.1:1") == []


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "amqp://127.0.0.1:1", "redis+socket:///nowhere/sock"])
def test_absent_broker_is_an_error(url: str) -> None:
    """The caller learns that the job was not taken."""
    with pytest.raises(BrokerUnavailable):
        enqueue(FIELDS, broker_url=url)


def test_extended_fields_follow_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fields that only the provider's older page allows are taken if the operator switched them on."""
    older = {**FIELDS, "exttype": "1", "message": "Hindi"}
    with pytest.raises(InvalidJob):
        enqueue(older, broker_url=MEMORY)
    monkeypatch.setenv("PROXSTOP_EXTENDED", "on")
    enqueue(older, broker_url=MEMORY)
    assert len(sent()) == 1


def test_broker_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """BROKER_URL is used when no address is given."""
    monkeypatch.setenv("BROKER_URL", "redis://127.0.0.1:1/0")
    with pytest.raises(BrokerUnavailable):
        enqueue(FIELDS)


def test_wrong_address_is_a_configuration_error() -> None:
    """An address that no transport understands is said so, not reported as a broker that is away."""
    with pytest.raises(ConfigurationError, match="BROKER_URL"):
        Producer("nonsense://host")


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"BROKER_URL": "amqp://a", "REDIS_URL": "redis://b"}, "amqp://a"),
        ({"REDIS_URL": "redis://b:6380/2"}, "redis://b:6380/2"),
        ({"REDIS_URL": "unix:///run/r.sock"}, "unix:///run/r.sock"),
        ({"CALLWORKER_STATE_DIR": "/srv/cw"}, "redis+socket:///srv/cw/redis.sock"),
    ],
)
def test_broker_defaults_in_order(environ: dict[str, str], url: str) -> None:
    """BROKER_URL, else REDIS_URL, else the embedded server in its folder."""
    assert broker_url(Settings.from_env(environ)) == url


def test_embedded_server_is_looked_for_where_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is that of the default state folder if nothing is set."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    url = broker_url(Settings.from_env({}))
    assert url.startswith("redis+socket://") and url.endswith(".sock")
