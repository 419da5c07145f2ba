"""The producer on real brokers: a job that was accepted is in its account's queue."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from kombu import Connection

from tests.contract.gate import Gate
from worker.broker.queues import SHARD_QUEUES, queue_of
from worker.errors import BrokerUnavailable
from worker.producer import Producer

FIELDS = {"account": "acme", "country": "1", "phone": "2125550123", "code": "48151"}


@pytest.fixture(params=["redis_url", "amqp_url"])
def broker(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def jobs(count: int) -> list[dict[str, str]]:
    return [{"id": f"job-{n}", **FIELDS} for n in range(count)]


def waiting(url: str, account: str = "acme") -> list[Any]:
    """Return the messages in the account's queue."""
    with Connection(url) as connection, connection.channel() as channel:
        found = []
        while message := channel.basic_get(queue_of(account).name, no_ack=True):
            found.append(message)
        return found


def test_jobs_lie_in_the_queue(broker: str) -> None:
    """Thousands in one call arrive whole and in order."""
    with Producer(broker) as producer:
        ids = producer.enqueue_many(jobs(1200))
    assert [message.headers["id"] for message in waiting(broker)] == ids


def test_accounts_are_spread_over_their_shards_queues(broker: str) -> None:
    """Each account's job goes to its shard's queue, on a used connection too, and none is lost for a missing queue."""
    accounts = [f"a{n}" for n in range(100)]
    assert {queue_of(account) for account in accounts} == set(SHARD_QUEUES)
    with Producer(broker) as producer:
        producer.enqueue_many(jobs(3))
        producer.enqueue_many({"id": account, **FIELDS, "account": account} for account in accounts)
    for queue in SHARD_QUEUES:
        own = [name for name in accounts if queue_of(name) == queue]
        before = [f"job-{n}" for n in range(3)] if queue == queue_of("acme") else []
        assert [message.headers["id"] for message in waiting(broker, own[0])] == before + own


def test_a_queue_that_was_deleted_is_made_again(amqp_url: str) -> None:
    """The broker returns the message; the producer reconnects, declares the queue, and sends it once more."""
    with Producer(amqp_url) as producer, Connection(amqp_url) as connection:
        producer.enqueue({"id": "one", **FIELDS})
        connection.default_channel.queue_delete(queue_of("acme").name)
        producer.enqueue({"id": "two", **FIELDS})
    assert [message.headers["id"] for message in waiting(amqp_url)] == ["two"]


def test_lost_connection_is_made_again_without_an_error(broker: str) -> None:
    """A producer that stood idle while its connection went away just sends the next job."""
    port = urlsplit(broker).port
    assert port is not None
    with Gate(port) as gate, Producer(broker.replace(f":{port}", f":{gate.port}")) as producer:
        producer.enqueue({"id": "one", **FIELDS})
        gate.shut()
        gate.open()
        producer.enqueue({"id": "two", **FIELDS})
        gate.shut()
        with pytest.raises(BrokerUnavailable):
            producer.enqueue({"id": "three", **FIELDS})
    assert [message.headers["id"] for message in waiting(broker)] == ["one", "two"]


def test_error_of_redis_does_not_quote_the_job(redis_url: str) -> None:
    """redis-py puts the failed command into its error; no part of the job may be in what the caller sees."""
    with redis.Redis.from_url(redis_url) as client:
        client.execute_command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "&*", "+@all", "-lpush")
        try:
            with (
                Producer(redis_url.replace("//", "//reader:pw@")) as producer,
                pytest.raises(BrokerUnavailable, match="permission") as caught,
            ):
                producer.enqueue_many(jobs(2))
        finally:
            client.execute_command("ACL", "DELUSER", "reader")
    error: BaseException | None = caught.value
    while error is not None:
        assert "LPUSH" not in str(error)
        error = error.__cause__ or error.__context__


def test_forgotten_binding_does_not_matter(redis_url: str) -> None:
    """A Redis that was emptied meanwhile still gets the job."""
    with redis.Redis.from_url(redis_url) as client, Producer(redis_url) as producer:
        producer.enqueue({"id": "one", **FIELDS})
        client.flushall()
        producer.enqueue({"id": "two", **FIELDS})
    assert [message.headers["id"] for message in waiting(redis_url)] == ["two"]
