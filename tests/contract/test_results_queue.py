"""The results queue, on every kind of broker: what is published arrives, byte for byte, or an error is raised."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from kombu import Connection, Exchange, Queue

from tests.contract.gate import Gate
from tests.processes import wait_until
from worker.broker.connection import TIMEOUTS, Timeouts
from worker.delivery.ports import OutgoingEvent
from worker.delivery.reader import peek_results, read_results
from worker.delivery.results import ResultsQueue
from worker.errors import BrokerUnavailable, ConfigurationError

BODY = '{"id":"evt_1","note":"Grüße, 你好 \\u0000"}'
IMPATIENT = Timeouts(0.5, 0.5)
REAL = ["redis", "redis_socket", "amqp"]


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> str:
    """The URL of an empty broker of the kind that the test is parametrized with."""
    if request.param == "memory":
        with Connection("memory://") as memory:
            memory.default_channel.queue_purge("results")
        return "memory://"
    if request.param == "redis_socket":
        with redis.Redis.from_url(request.getfixturevalue("redis_url")) as client:
            socket = str(client.config_get("unixsocket")["unixsocket"])
        return f"redis+socket://{socket}"
    return str(request.getfixturevalue(f"{request.param}_url"))


on_every_broker = pytest.mark.parametrize("broker", ["memory", *REAL], indirect=True)
on_real_brokers = pytest.mark.parametrize("broker", ["redis", "amqp"], indirect=True)
on_amqp = pytest.mark.parametrize("broker", ["amqp"], indirect=True)
on_redis = pytest.mark.parametrize("broker", ["redis"], indirect=True)


@pytest.fixture
def gate(broker: str) -> Iterator[Gate]:
    port = urlsplit(broker).port
    assert port is not None
    with Gate(port) as gate:
        yield gate


def through(gate: Gate, broker: str) -> str:
    return broker.replace(f":{urlsplit(broker).port}", f":{gate.port}")


@contextlib.contextmanager
def results(url: str, timeouts: Timeouts = TIMEOUTS) -> Iterator[ResultsQueue]:
    with contextlib.closing(ResultsQueue(url, timeouts=timeouts)) as queue:
        yield queue


def is_published(queue: ResultsQueue) -> bool:
    """Publish an event; False if the broker was too slow, as it may be on a busy machine."""
    with contextlib.suppress(BrokerUnavailable):
        queue.publish([OutgoingEvent("call.placed", "1")])
        return True
    return False


def messages(url: str, queue: str) -> list[Any]:
    """Take every message out of a queue."""
    with Connection(url) as conn, conn.channel() as channel:
        found = []
        while message := channel.basic_get(queue, no_ack=True):
            found.append(message)
        return found


@on_every_broker
def test_publish_keeps_bytes_type_and_order(broker: str) -> None:
    """An event arrives as plain JSON, byte for byte, persistent, with its type as routing key."""
    with results(broker) as queue:
        queue.publish([OutgoingEvent("call.placed", BODY), OutgoingEvent("call.failed", "{}")])
        queue.publish([OutgoingEvent("call.unknown", "[1]")])
    first, second, third = messages(broker, "results")
    assert (first.body if isinstance(first.body, bytes) else first.body.encode()) == BODY.encode()
    assert (first.content_type, first.content_encoding) == ("application/json", "utf-8")
    assert first.properties["delivery_mode"] == 2
    assert [m.delivery_info["routing_key"] for m in (first, second, third)] == [
        "call.placed",
        "call.failed",
        "call.unknown",
    ]
    assert first.delivery_info["exchange"] == "results"


@on_every_broker
def test_publish_nothing_is_nothing(broker: str) -> None:
    """An empty batch needs no broker."""
    with results(broker) as queue:
        queue.publish([])


@on_real_brokers
def test_own_queue_gets_only_its_types(broker: str) -> None:
    """A subscriber's queue that is bound to one type receives that type beside queue `results`."""
    own = Queue("own", Exchange("results", type="topic"), routing_key="call.failed", durable=True)
    with Connection(broker) as conn, conn.channel() as channel:
        own.bind(channel).declare()
        channel.queue_purge("own")
    with results(broker) as queue:
        queue.publish([OutgoingEvent("call.placed", "1"), OutgoingEvent("call.failed", "2")])
    assert [json.loads(m.body) for m in messages(broker, "own")] == [2]
    assert len(messages(broker, "results")) == 2
    with Connection(broker) as conn, conn.channel() as channel:
        channel.queue_delete("own")


@on_real_brokers
def test_large_batch_arrives_whole(broker: str) -> None:
    """A batch is confirmed as a whole: nothing is missing when publish returns."""
    with results(broker) as queue:
        queue.publish([OutgoingEvent("call.placed", str(n)) for n in range(1500)])
    assert [int(m.body) for m in messages(broker, "results")] == list(range(1500))


@on_real_brokers
def test_cut_connection_raises_and_next_publish_reconnects(broker: str, gate: Gate) -> None:
    """A lost broker is an error; once it is back, the same object publishes again."""
    with results(through(gate, broker)) as queue:
        queue.publish([OutgoingEvent("call.placed", "1")])
        gate.shut()
        with pytest.raises(BrokerUnavailable):
            queue.publish([OutgoingEvent("call.placed", "2")])
        with pytest.raises(BrokerUnavailable):
            queue.publish([OutgoingEvent("call.placed", "2")])
        gate.open()
        queue.publish([OutgoingEvent("call.placed", "2")])
    assert [int(m.body) for m in messages(broker, "results")] == [1, 2]


@on_real_brokers
def test_silent_broker_raises_in_bounded_time(broker: str, gate: Gate) -> None:
    """A broker that takes connections and bytes and says nothing ends in an error, not in a hung thread."""
    with results(through(gate, broker), IMPATIENT) as queue:
        wait_until(lambda: is_published(queue), "the broker answers in time once")
        gate.jam()
        for _ in ("on the live connection", "on a new one"):
            with pytest.raises(BrokerUnavailable):
                queue.publish([OutgoingEvent("call.placed", "2")])


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_absent_broker_raises(scheme: str) -> None:
    """Nothing listens there: BrokerUnavailable, and closing is quiet."""
    with results(f"{scheme}://127.0.0.1:1") as queue, pytest.raises(BrokerUnavailable, match="refused"):
        queue.publish([OutgoingEvent("call.placed", "1")])


def test_unknown_transport_is_a_configuration_error() -> None:
    """An address that no transport understands is named before anything is published, without its password."""
    with pytest.raises(ConfigurationError, match="nonsense") as caught:
        ResultsQueue("nonsense://user:hunter2@host")
    assert "hunter2" not in str(caught.value)


@on_amqp
def test_deleted_queue_raises_and_is_declared_anew(broker: str) -> None:
    """RabbitMQ returns what it cannot route; that is an error, and the next publish declares the queue again."""
    with results(broker) as queue:
        queue.publish([OutgoingEvent("call.placed", "1")])
        with Connection(broker) as conn, conn.channel() as channel:
            channel.queue_delete("results")
        with pytest.raises(BrokerUnavailable, match="no queue"):
            queue.publish([OutgoingEvent("call.placed", "2")])
        queue.publish([OutgoingEvent("call.placed", "2")])
    assert [int(m.body) for m in messages(broker, "results")] == [2]


@on_amqp
def test_refused_message_raises(broker: str) -> None:
    """A negative confirm, here of a bound queue that is full, is an error."""
    arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
    full = Queue("full", Exchange("results", type="topic"), routing_key="#", queue_arguments=arguments)
    with Connection(broker) as conn, conn.channel() as channel:
        full.bind(channel).declare()
        with results(broker) as queue, pytest.raises(BrokerUnavailable, match="refused"):
            queue.publish([OutgoingEvent("call.placed", str(n)) for n in range(20)])
        channel.queue_delete("full")


@on_redis
def test_forgotten_binding_is_made_again(broker: str) -> None:
    """A Redis that comes back empty loses no event: the binding is checked before each batch."""
    with results(broker) as queue:
        queue.publish([OutgoingEvent("call.placed", "1")])
        with redis.Redis.from_url(broker) as client:
            client.flushall()
        queue.publish([OutgoingEvent("call.placed", "2")])
    assert [int(m.body) for m in messages(broker, "results")] == [2]


@on_redis
def test_full_redis_raises_without_quoting_the_event(broker: str) -> None:
    """A Redis out of memory is an error whose text, causes included, shows no part of the message."""
    with redis.Redis.from_url(broker) as client, results(broker) as queue:
        queue.publish([OutgoingEvent("call.placed", "1")])
        client.config_set("maxmemory", "1")
        try:
            with pytest.raises(BrokerUnavailable, match="maxmemory") as caught:
                queue.publish([OutgoingEvent("call.placed", "2"), OutgoingEvent("call.placed", "3")])
        finally:
            client.config_set("maxmemory", "0")
    chain: BaseException | None = caught.value
    while chain is not None:
        assert "LPUSH" not in str(chain)
        chain = chain.__cause__


@on_every_broker
def test_reader_prints_what_is_there_and_consumes_it(broker: str) -> None:
    """Reading yields the bodies, oldest first, ends at an empty queue, and leaves it empty."""
    with results(broker) as queue:
        queue.publish([OutgoingEvent("call.placed", BODY), OutgoingEvent("call.failed", "{}")])
    assert list(read_results(broker)) == [BODY, "{}"]
    assert list(read_results(broker)) == []


@on_every_broker
def test_reader_gives_back_what_was_not_finished(broker: str) -> None:
    """An event that was being handled when the reader stopped is there for the next one, and so is the rest."""
    with results(broker) as queue:
        queue.publish([OutgoingEvent("call.placed", str(n)) for n in range(3)])
    reader = read_results(broker)
    assert [next(reader), next(reader)] == ["0", "1"]
    reader.close()  # type: ignore[attr-defined]
    assert sorted(read_results(broker)) == ["1", "2"]


@on_real_brokers
def test_look_at_the_results_takes_none(broker: str) -> None:
    """The oldest events are shown in their order, as many as asked for, and a reader finds all of them still (D10)."""
    with results(broker) as queue:
        queue.publish([OutgoingEvent("call.placed", str(n)) for n in range(4)])
    assert peek_results(broker, 3) == ["0", "1", "2"]
    assert peek_results(broker, 9) == ["0", "1", "2", "3"]
    assert list(read_results(broker)) == ["0", "1", "2", "3"]
    assert peek_results(broker, 9) == []


@on_every_broker
def test_reader_waits_a_moment_for_the_first_event_alone(broker: str) -> None:
    """An event that is on its way when the reader starts is read; after one was read an empty queue is the end (D3)."""
    with results(broker) as queue:
        reader = read_results(
            broker, pause=lambda _seconds: queue.publish([OutgoingEvent("call.placed", "on its way")])
        )
        assert list(reader) == ["on its way"]


@on_every_broker
def test_following_reader_waits_for_more(broker: str) -> None:
    """With `follow` the reader waits at an empty queue and yields later events."""
    with results(broker) as queue:
        reader = read_results(
            broker, follow=True, pause=lambda _seconds: queue.publish([OutgoingEvent("call.placed", "later")])
        )
        assert [next(reader), next(reader)] == ["later", "later"]
        reader.close()  # type: ignore[attr-defined]


@on_real_brokers
def test_reader_of_silent_broker_raises_in_bounded_time(broker: str, gate: Gate) -> None:
    """A reader that waits for a broker's answer does not wait for ever."""
    reader = read_results(
        through(gate, broker), follow=True, pause=lambda _seconds: gate.jam(), timeouts=IMPATIENT
    )
    with pytest.raises(BrokerUnavailable):
        next(reader)


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_reader_of_absent_broker_raises(scheme: str) -> None:
    """The reader translates errors like the publisher."""
    with pytest.raises(BrokerUnavailable):
        list(read_results(f"{scheme}://127.0.0.1:1"))
