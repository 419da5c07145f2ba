"""The client on real brokers: connections that are shared, stuck or refused. More is in test_producer_brokers.py."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import amqp
import pytest
import redis
from kombu import Connection

from callworker import BrokerRefused, BrokerUnavailable, Client, Job
from callworker.message import CALLS, queue_of
from tests.contract.gate import Gate
from tests.processes import wait_until
from tests.rabbit import GuardedNode

FIELDS = {"account": "acme", "country": "1", "phone": "2125550123", "code": "48151"}
QUEUE = queue_of("acme")


@pytest.fixture(params=["redis_url", "amqp_url"])
def broker(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def waiting(url: str, queue: str = QUEUE) -> list[Any]:
    """Return the messages in a queue."""
    with Connection(url) as connection, connection.channel() as channel:
        found = []
        while message := channel.basic_get(queue, no_ack=True):
            found.append(message)
        return found


def ids(url: str) -> list[str]:
    return [message.headers["id"] for message in waiting(url)]


@contextmanager
def gated(url: str) -> Iterator[tuple[Gate, str]]:
    """A gate before the broker, and the broker's address through it."""
    port = urlsplit(url).port
    assert port is not None
    with Gate(port) as gate:
        yield gate, url.replace(f":{port}", f":{gate.port}")


def test_message_is_the_one_that_celery_would_send(broker: str) -> None:
    """A reader with kombu, as Celery's workers are, finds content, headers and properties where it looks for them."""
    with Client(broker) as client:
        client.enqueue(Job(**FIELDS, id="job-1", ref="Grüße"))
        client.cancel("job-1")
        client.cancel("job-1", account="acme")
    job, canceled = waiting(broker)
    assert (job.content_type, job.content_encoding) == ("application/json", "utf-8")
    assert job.properties["correlation_id"] == job.headers["id"] == "job-1"
    assert job.properties["delivery_mode"] == 2
    assert json.loads(job.body) == [[], {"id": "job-1", **FIELDS, "ref": "Grüße"}, {}]
    assert (canceled.headers["task"], json.loads(canceled.body)[1]) == (
        "calls.cancel",
        {"id": "job-1", "account": "acme"},
    )
    (alone,) = waiting(broker, CALLS)
    assert json.loads(alone.body) == [[], {"id": "job-1"}, {}]


def test_threads_share_a_client(broker: str) -> None:
    """No message is lost or mixed with another."""
    with Client(broker) as client, ThreadPoolExecutor(8) as pool:
        sent = list(pool.map(lambda n: client.enqueue({"id": f"job-{n}", **FIELDS}), range(200)))
    assert sorted(ids(broker)) == sorted(sent)


def succeeds(act: Callable[[], object]) -> bool:
    try:
        act()
    except BrokerUnavailable:
        return False
    return True


def in_child(act: Callable[[], object]) -> bool:
    """Fork, run `act` in the child, and return whether it did not raise."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            act()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def test_child_of_a_fork_connects_for_itself(broker: str) -> None:
    """It neither uses nor ends its parent's connection, even if a thread of the parent held the lock."""
    with Client(broker) as client:
        client.enqueue({"id": "before", **FIELDS})
        session = client._link._session
        with client._lock:
            assert in_child(lambda: client.enqueue({"id": "child", **FIELDS}))
        assert in_child(lambda: client.enqueue({"id": "child-2", **FIELDS}))
        client.enqueue({"id": "after", **FIELDS})
        assert client._link._session is session
    assert ids(broker) == ["before", "child", "child-2", "after"]


def test_broker_that_is_silent_is_waited_for_only_so_long(broker: str) -> None:
    """The caller gets an error: over a connection that worked before, and over a new one."""
    with gated(broker) as (gate, url), Client(url, timeout=1.0) as client:
        wait_until(lambda: succeeds(lambda: client.enqueue({"id": "one", **FIELDS})), "the first job is sent")
        gate.jam()
        for job_id in ("two", "three"):
            with pytest.raises(BrokerUnavailable):
                client.enqueue({"id": job_id, **FIELDS})
    assert set(ids(broker)) == {"one"}


def test_next_address_is_tried(broker: str) -> None:
    """Of several addresses the first that works is used."""
    scheme = urlsplit(broker).scheme
    with Client(f"{scheme}://127.0.0.1:1;{broker}") as client:
        client.enqueue({"id": "one", **FIELDS})
    assert ids(broker) == ["one"]


def test_key_of_another_type_is_named(redis_url: str) -> None:
    """Waiting would not help, and Redis does not say which key it is."""
    with redis.Redis.from_url(redis_url) as direct, Client(redis_url) as client:
        direct.set(QUEUE, "something else")
        with pytest.raises(BrokerRefused, match=f"WRONGTYPE.*{QUEUE}"):
            client.enqueue(FIELDS)


def test_redis_that_is_full_is_not_called_a_refusal(redis_url: str) -> None:
    """It takes jobs again once there is room."""
    with redis.Redis.from_url(redis_url) as direct, Client(redis_url) as client:
        direct.config_set("maxmemory", 1)
        try:
            with pytest.raises(BrokerUnavailable, match="maxmemory") as caught:
                client.enqueue(FIELDS)
        finally:
            direct.config_set("maxmemory", 0)
        assert not isinstance(caught.value, BrokerRefused)


def test_queue_that_takes_no_message_is_not_called_a_refusal(amqp_url: str) -> None:
    """RabbitMQ answers the same for a queue that is full and for one whose leader was lost a moment ago."""
    with amqp.Connection(f"127.0.0.1:{urlsplit(amqp_url).port}") as direct, Client(amqp_url) as client:
        full = {"x-max-length": 0, "x-overflow": "reject-publish"}
        direct.channel().queue_declare(QUEUE, durable=True, auto_delete=False, arguments=full)
        with pytest.raises(BrokerUnavailable, match="is full, or has no leader") as caught:
            client.enqueue(FIELDS)
        assert not isinstance(caught.value, BrokerRefused)


@pytest.mark.parametrize(
    ("user", "told"), [("porter", f"{QUEUE}.*may not create"), ("nobody", "(?i)refused")]
)
def test_what_the_broker_refuses_is_told(node: GuardedNode, user: str, told: str) -> None:
    """A queue that is missing and may not be made, and a user that is unknown."""
    node.empty()
    with Client(node.url(user)) as client, pytest.raises(BrokerRefused, match=told):
        client.enqueue(FIELDS)


def test_queue_with_other_properties_is_used_as_it_is(amqp_url: str) -> None:
    """Workers may have made it with another type than this client is told."""
    with amqp.Connection(f"127.0.0.1:{urlsplit(amqp_url).port}") as direct:
        direct.channel().queue_declare(
            QUEUE, durable=True, auto_delete=False, arguments={"x-max-priority": 5}
        )
    with Client(amqp_url, queue_type="quorum") as client:
        client.enqueue({"id": "one", **FIELDS})
    assert ids(amqp_url) == ["one"]


def test_queues_are_made_with_the_type_of_the_workers(amqp_url: str) -> None:
    """`queue_type` is what a worker's AMQP_QUEUE_TYPE is."""
    with Client(amqp_url, queue_type="quorum") as client:
        client.enqueue(FIELDS)
    with (
        amqp.Connection(f"127.0.0.1:{urlsplit(amqp_url).port}") as direct,
        pytest.raises(amqp.PreconditionFailed, match="quorum"),
    ):
        direct.channel().queue_declare(QUEUE, durable=True, auto_delete=False)
