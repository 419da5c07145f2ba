"""The client for asyncio on real brokers: as the blocking one, and whole after a task was cancelled."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from kombu import Connection

from callworker import AsyncClient, BrokerRefused, BrokerUnavailable, Client, InvalidJob, Job
from tests.contract.test_client_brokers import FIELDS, QUEUE, gated, ids, waiting
from tests.contract.test_producer_brokers import jobs
from tests.rabbit import GuardedNode
from tests.tls import Authority, TlsDoor


@pytest.fixture(params=["redis_url", "amqp_url"])
def broker(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def one(job_id: str) -> dict[str, str]:
    return {"id": job_id, **FIELDS}


def send_one(url: str, **options: Any) -> None:
    """Send one job from an event loop of its own."""

    async def send() -> None:
        async with AsyncClient(url, **options) as client:
            await client.enqueue(one("one"))

    asyncio.run(send())


def as_compared(message: Any) -> Any:
    """Return a message without what differs from one to the next of the same job."""
    properties = {
        name: value
        for name, value in message.properties.items()
        if name not in ("delivery_tag", "message_id", "priority", "type") and value is not None
    }
    headers = {name: value for name, value in message.headers.items() if name != "origin"}
    return message.content_type, message.content_encoding, headers, properties, json.loads(message.body)


def test_messages_are_those_of_the_blocking_client(broker: str) -> None:
    """Many in order, each as the other client sends it."""
    with Client(broker) as blocking:
        blocking.enqueue(Job(**FIELDS, id="job-0", ref="Grüße"))
    (expected,) = waiting(broker)

    async def send() -> list[str]:
        async with AsyncClient(broker) as client:
            await client.enqueue(Job(**FIELDS, id="job-0", ref="Grüße"))
            return await client.enqueue_many(jobs(700))

    sent = asyncio.run(send())
    first, *others = waiting(broker)
    assert as_compared(first) == as_compared(expected)
    assert [message.headers["id"] for message in others] == sent == [f"job-{n}" for n in range(700)]


def test_tasks_share_a_client(broker: str) -> None:
    """No message is lost or mixed with another; progress is told; a cancel goes the same way."""
    told: list[int] = []

    async def send() -> None:
        async with AsyncClient(broker) as client:
            await asyncio.gather(*(client.enqueue(one(f"job-{n}")) for n in range(50)))
            await client.enqueue_many([one("last")], progress=told.append)
            await client.cancel("last", account="acme")

    asyncio.run(send())
    *messages, cancel = waiting(broker)
    assert sorted(message.headers["id"] for message in messages) == sorted(
        ["last", *(f"job-{n}" for n in range(50))]
    )
    assert json.loads(cancel.body)[1] == {"id": "last", "account": "acme"}
    assert told == [1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_client_goes_on_in_another_event_loop(broker: str) -> None:
    """Programs that call asyncio.run again and again keep one client."""
    client = AsyncClient(broker)
    for job_id in ("one", "two"):
        asyncio.run(client.enqueue(one(job_id)))
    # aio-pika complains about a connection whose event loop is gone.
    del client
    gc.collect()
    assert ids(broker) == ["one", "two"]


def test_lost_connection_is_made_again_without_an_error(broker: str) -> None:
    """A client that stood idle while its connection went away just sends the next job."""

    async def send() -> None:
        with gated(broker) as (gate, url):
            async with AsyncClient(url) as client:
                await client.enqueue(one("one"))
                gate.shut()
                gate.open()
                await client.enqueue(one("two"))
                gate.shut()
                with pytest.raises(BrokerUnavailable):
                    await client.enqueue(one("three"))

    asyncio.run(send())
    assert ids(broker) == ["one", "two"]


def test_task_that_is_cancelled_leaves_no_half_of_an_answer(broker: str) -> None:
    """The connection is dropped: a late answer would count for the next batch."""

    async def send() -> None:
        with gated(broker) as (gate, url):
            async with AsyncClient(url, timeout=60) as client:
                await client.enqueue(one("one"))
                gate.jam()
                task = asyncio.create_task(client.enqueue(one("two")))
                while not client._lock.locked():
                    await asyncio.sleep(0)
                session = client._link._session
                task.cancel()
                gate.shut()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert session is not None and client._link._session is None
                gate.open()
                await client.enqueue(one("three"))

    asyncio.run(send())
    assert [each for each in ids(broker) if each != "two"] == ["one", "three"]


def test_broker_that_is_silent_is_waited_for_only_so_long(broker: str) -> None:
    """Not even a new connection is waited for without end."""

    with gated(broker) as (gate, url):
        gate.jam()
        with pytest.raises(BrokerUnavailable):
            send_one(url, timeout=0.5)


def test_next_address_is_tried(broker: str) -> None:
    """Of several addresses the first that works is used."""
    scheme = urlsplit(broker).scheme
    send_one(f"{scheme}://127.0.0.1:1;{broker}")
    assert ids(broker) == ["one"]


def test_queue_that_takes_no_message_is_not_called_a_refusal(amqp_url: str) -> None:
    """It may take the next one."""
    with Connection(amqp_url) as connection, connection.channel() as channel:
        full = {"x-max-length": 0, "x-overflow": "reject-publish"}
        channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments=full)
        with pytest.raises(BrokerUnavailable, match="is full, or has no leader") as caught:
            send_one(amqp_url)
        assert not isinstance(caught.value, BrokerRefused)


def test_invalid_job_is_not_sent() -> None:
    """The job is named, as the blocking client names it, before the broker is asked."""
    with pytest.raises(InvalidJob, match=r"job 1 \(job-7\) is not valid"):
        asyncio.run(AsyncClient("redis://127.0.0.1:1").enqueue_many([FIELDS, {"id": "job-7"}]))


def test_error_of_redis_does_not_quote_the_job(redis_url: str) -> None:
    """redis-py puts the failed command into its error."""
    with redis.Redis.from_url(redis_url) as direct:
        direct.set(QUEUE, "something else")
    with pytest.raises(BrokerRefused, match=f"WRONGTYPE.*{QUEUE}") as caught:
        send_one(redis_url)
    assert "LPUSH" not in str(caught.value.__cause__)


def test_queue_that_was_deleted_is_made_again(amqp_url: str) -> None:
    """The broker returns the message; the client declares the queue on a new connection and sends it once more."""

    async def send() -> None:
        async with AsyncClient(amqp_url) as client:
            await client.enqueue(one("one"))
            with Connection(amqp_url) as connection:
                connection.default_channel.queue_delete(QUEUE)
            await client.enqueue(one("two"))

    asyncio.run(send())
    assert ids(amqp_url) == ["two"]


@pytest.mark.parametrize(
    ("user", "told"), [("porter", f"{QUEUE}.*may not create"), ("nobody", "cannot be used")]
)
def test_what_the_broker_refuses_is_told(node: GuardedNode, user: str, told: str) -> None:
    """A queue that is missing and may not be made, and a user that is unknown."""
    node.empty()
    with pytest.raises(BrokerRefused, match=told):
        send_one(node.url(user))


@pytest.mark.parametrize("kind", ["right", "other"])
def test_certificate_is_verified(
    broker: str, kind: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for another name gets no word of this client either."""
    authority = Authority(tmp_path, "ours")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.pair.certificate))
    pair = authority.issue("right") if kind == "right" else authority.issue("other", "DNS:other.example")
    port = urlsplit(broker).port or 0
    with TlsDoor(port, pair) as door:
        scheme, _, rest = broker.partition("://")
        url = f"{scheme}s://" + rest.replace(f"127.0.0.1:{port}", f"localhost:{door.port}")
        if kind == "right":
            send_one(url)
        else:
            with pytest.raises(BrokerRefused, match="(?i)certificate"):
                send_one(url)
