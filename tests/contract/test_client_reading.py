"""The client reads events from real brokers: each event once it is published, through outages, and without a trace."""

from __future__ import annotations

import itertools
import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from typing import Any

import amqp
import kombu
import pytest
import redis

from callworker import BrokerRefused, BrokerUnavailable, Client
from callworker.reading import lists
from callworker.reading.iterating import Events
from tests.processes import free_port, wait_until
from tests.rabbit import SETTINGS_PAGE as PAGE
from tests.rabbit import GuardedNode
from tests.redis_server import redis_server
from worker.delivery.ports import OutgoingEvent
from worker.delivery.reader import read_results
from worker.delivery.results import ResultsQueue
from worker.errors import BrokerUnavailable as BrokerUnavailableForWorkers

SECONDS = 60.0
"""The longest wait of a test for an event. None waits so long unless something is wrong."""
ORDERS = "results.orders"
SETTINGS_PAGE = PAGE.read_text(encoding="utf-8")
on_every_broker = pytest.mark.parametrize("broker", ["redis", "amqp"], indirect=True)
on_redis = pytest.mark.parametrize("broker", ["redis"], indirect=True)
on_amqp = pytest.mark.parametrize("broker", ["amqp"], indirect=True)


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty broker of the kind that the test is parametrized with."""
    url = str(request.getfixturevalue(f"{request.param}_url"))
    yield url
    if request.param == "amqp":
        with kombu.Connection(url) as connection:
            connection.default_channel.queue_delete(ORDERS)


@pytest.fixture
def publish(broker: str) -> Iterator[Callable[..., None]]:
    """A function that publishes events of jobs with these ids, as workers do."""
    with closing(ResultsQueue(broker)) as results:
        results.prepare()

        def publish(*ids: str, kind: str = "call.placed") -> None:
            results.publish([OutgoingEvent(kind, body(name, kind)) for name in ids])

        yield publish


def body(name: str, kind: str = "call.placed") -> str:
    """The body of an event of the job with this id."""
    data = {"id": name, "account": "acme", "note": "Grüße, 你好 \u0000"}
    event = {"id": f"evt_{name}", "type": kind, "timestamp": "2026-11-22T08:15:30.123Z", "data": data}
    return json.dumps(event, ensure_ascii=False)


def ids(events: Events, number: int) -> list[str]:
    """Read so many events."""
    return [next(events).data.id for _ in range(number)]


def rest(broker: str, publish: Callable[..., None]) -> list[str]:
    """Read what is left in the durable queue, up to an event that is published now."""
    found = []
    publish("the end")
    with Client(broker).events(queue=ORDERS, timeout=SECONDS) as events:
        for event in events:
            found.append(event.data.id)
            if event.data.id == "the end":
                # The loop asks once more, so that this event is done too.
                events._timeout = 0
    return found[:-1]


def source(events: Events) -> Any:
    """The connection of a reader."""
    return events._source


def drop(events: Events) -> None:
    """End a reader as a kill does: its connection is gone, and nothing was said."""
    source(events).drop()


@on_every_broker
def test_each_reader_gets_every_event(broker: str, publish: Callable[..., None]) -> None:
    """Events come in order, each once and byte for byte, to each reader and to queue `results`."""
    client = Client(broker)
    with client.events(timeout=SECONDS) as one, client.events(("call.failed", "endpoint.*")) as two:
        publish("a", "b")
        publish("c", kind="call.failed")
        publish("d", kind="endpoint.disabled")
        first = next(one)
        assert first.raw == json.loads(body("a"))
        assert (ids(one, 2), ids(two, 2)) == (["b", "c"], ["c", "d"])
    assert [json.loads(each)["data"]["id"] for each in read_results(broker)] == ["a", "b", "c", "d"]


@on_every_broker
def test_iteration_ends_when_nothing_comes(broker: str, publish: Callable[..., None]) -> None:
    """With a timeout the loop is over once no event came for so long. What is done does not come again."""
    with Client(broker).events(queue=ORDERS, timeout=0) as events:
        assert list(events) == []
    publish("a", "b", "c")
    assert rest(broker, publish) == ["a", "b", "c"]
    assert rest(broker, publish) == []


@on_every_broker
def test_event_of_one_job_can_be_waited_for(broker: str, publish: Callable[..., None]) -> None:
    """Other events are passed over, notices about the same job too; None if it does not come."""
    with Client(broker).events("#") as events:
        publish("a", "b")
        publish("c", kind="job.not_canceled")
        publish("c", kind="call.expired")
        event = events.wait("c", SECONDS)
        assert event and event.type == "call.expired"
        assert events.wait("d", 0) is None


@on_redis
def test_own_queue_leaves_nothing_in_redis(broker: str, publish: Callable[..., None]) -> None:
    """A queue that is closed is gone, and so is what a killed reader left once its list has expired."""
    client = Client(broker)
    with redis.Redis.from_url(broker) as there:
        before = set(there.keys()), there.smembers("_kombu.binding.results")
        killed = client.events(["call.*", "job.*"])
        drop(killed)
        (left,) = there.keys("results.listen.*")
        assert there.pttl(left) > 0
        there.delete(left)
        with client.events() as events:
            publish("a")
            assert ids(events, 1) == ["a"]
            assert len(there.keys("results.listen.*")) == 1
        there.delete("results")
        assert (set(there.keys()), there.smembers("_kombu.binding.results")) == before


@on_amqp
@pytest.mark.parametrize("end", [Events.close, drop])
def test_own_queue_goes_with_its_connection(broker: str, end: Callable[[Events], None]) -> None:
    """RabbitMQ removes it when the reader ends, however it ends."""
    events = Client(broker).events()
    name = source(events)._queue
    assert state_of(broker, name) is amqp.ResourceLocked
    end(events)
    wait_until(lambda: state_of(broker, name) is amqp.NotFound, "the queue is gone")


def state_of(broker: str, queue: str) -> type[Exception]:
    """What RabbitMQ says of a queue of somebody's own: that it is somebody else's, or that there is none."""
    with pytest.raises(amqp.AMQPError) as caught, kombu.Connection(broker) as connection:
        connection.default_channel.queue_declare(queue, passive=True)
    return caught.type


@on_every_broker
def test_readers_of_a_durable_queue_share_its_events(broker: str, publish: Callable[..., None]) -> None:
    """Each event goes to one of them, and what came while nobody read is kept."""
    client = Client(broker)
    client.events(queue=ORDERS).close()
    names = [f"job-{number}" for number in range(20)]
    publish(*names)
    with ExitStack() as stack:
        readers = [stack.enter_context(client.events(queue=ORDERS, timeout=SECONDS)) for _ in range(2)]
        got = [name for _ in range(10) for reader in readers for name in ids(reader, 1)]
        for reader in readers:
            reader._timeout = 0
            assert list(reader) == []
    assert sorted(got) == sorted(names)
    assert rest(broker, publish) == []


@on_every_broker
def test_event_is_done_when_the_next_is_asked_for(broker: str, publish: Callable[..., None]) -> None:
    """An event whose loop body failed comes again, before those after it."""
    client = Client(broker)
    with client.events(queue=ORDERS, timeout=SECONDS) as events, suppress(ZeroDivisionError):
        publish("a", "b", "c")
        for event in events:
            if event.data.id == "b":
                1 / 0  # noqa: B018
    assert rest(broker, publish) == ["b", "c"]


@on_every_broker
def test_event_of_a_killed_reader_comes_again(
    broker: str, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ gives it to another reader at once, Redis when the lease has run out."""
    monkeypatch.setattr(lists, "LEASE_MS", 300)
    client = Client(broker)
    killed = client.events(queue=ORDERS, timeout=SECONDS)
    publish("a", "b")
    assert ids(killed, 1) == ["a"]
    drop(killed)
    with client.events(queue=ORDERS, timeout=SECONDS) as events:
        assert sorted(ids(events, 2)) == ["a", "b"]


@on_amqp
@pytest.mark.parametrize("queue", [None, ORDERS])
def test_reader_connects_again(
    broker: str, queue: str | None, publish: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """After a lost connection it goes on. The log says so, and that a queue of its own may have missed events."""
    with Client(broker).events(queue=queue, timeout=SECONDS) as events:
        publish("a")
        assert ids(events, 1) == ["a"]
        source(events)._connection.sock.shutdown(socket.SHUT_RDWR)
        comes_again(events, publish)
    assert "events cannot be read" in caplog.text
    assert ("may have been missed" in caplog.text) == (queue is None)


@pytest.mark.parametrize("queue", [None, ORDERS])
def test_reader_survives_a_redis_that_restarts_or_is_emptied(queue: str | None) -> None:
    """Queue and bindings are made again, whether or not the connection was lost."""
    with (
        redis_server() as server,
        redis.Redis.from_url(server.url) as there,
        Client(server.url).events(queue=queue, timeout=SECONDS) as events,
        closing(ResultsQueue(server.url)) as results,
    ):

        def publish(name: str) -> None:
            with suppress(BrokerUnavailableForWorkers):
                results.publish([OutgoingEvent("call.placed", body(name))])

        comes_again(events, publish)
        server.kill()
        server.start()
        comes_again(events, publish)
        there.flushall()
        source(events)._bound_until = 0
        comes_again(events, publish)


def comes_again(events: Events, publish: Callable[[str], None]) -> None:
    """Publish events until one of them is read."""
    for number in itertools.count():
        publish(f"again-{number}")
        with suppress(BrokerUnavailable):
            if events.wait(f"again-{number}", 0.2):
                return


@on_every_broker
def test_message_that_is_no_event_is_left_out(
    broker: str, publish: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody else's message stops no loop. The log says that there was one, and not what it holds."""
    with Client(broker).events("#", queue=ORDERS, timeout=SECONDS) as events:
        with kombu.Connection(broker) as connection:
            producer = connection.Producer(exchange=kombu.Exchange("results", type="topic", durable=True))
            producer.publish("PIN 4711", routing_key="other", content_type="text/plain")
        publish("a")
        assert ids(events, 1) == ["a"]
    assert "was left out" in caplog.text
    assert "4711" not in caplog.text


def test_reader_with_a_timeout_tells_an_outage() -> None:
    """If the broker is not back when the time is up, the loop raises, and does not pretend that nothing came."""
    with redis_server() as server:
        events = Client(server.url).events(timeout=0.5)
    with closing(events), pytest.raises(BrokerUnavailable):
        next(events)


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_absent_broker_raises(scheme: str) -> None:
    """A program that cannot begin to listen is told at once."""
    with pytest.raises(BrokerUnavailable, match="refused"):
        Client(f"{scheme}://127.0.0.1:{free_port()}").events()


def test_rights_that_the_page_asks_for_are_enough_on_redis(redis_url: str) -> None:
    """A subscriber needs the rights that the page asks for, and can do nothing with jobs or a worker's state."""
    (words,) = re.findall(r"^ACL SETUSER subscriber on >password (.+)$", SETTINGS_PAGE, re.MULTILINE)
    with closing(ResultsQueue(redis_url)) as results, redis.Redis.from_url(redis_url) as there:
        results.prepare()
        there.execute_command("ACL", "SETUSER", "subscriber", "reset", "on", ">word", *words.split())
        url = redis_url.replace("redis://", "redis://subscriber:word@")
        try:
            read_everything(Client(url), results)
            with redis.Redis.from_url(url) as subscriber:
                for command in ("LRANGE calls.0 0 -1", "XADD calls.intake * job {}", "GET callworker:id:a"):
                    with pytest.raises(redis.exceptions.NoPermissionError):
                        subscriber.execute_command(*command.split())
        finally:
            there.execute_command("ACL", "DELUSER", "subscriber")


def test_rights_that_the_page_asks_for_are_enough_on_rabbitmq(node: GuardedNode) -> None:
    """A subscriber needs the rights that the page asks for. A user without them is told so."""
    node.empty()
    with closing(ResultsQueue(node.url())) as results:
        results.prepare()
        read_everything(Client(node.url("subscriber")), results)
        with pytest.raises(BrokerRefused, match=r"results\.listen"):
            Client(node.url("porter")).events()
        # An operator may have made a durable queue for a user who may only read.
        Client(node.url("porter")).events(queue=ORDERS).close()
        with kombu.Connection(node.url()) as connection:
            connection.default_channel.queue_delete(ORDERS)
    node.empty()


def read_everything(client: Client, results: ResultsQueue) -> None:
    with client.events(timeout=SECONDS) as own, client.events(queue=ORDERS, timeout=SECONDS) as durable:
        results.publish([OutgoingEvent("call.placed", body("a"))])
        assert (ids(own, 1), ids(durable, 1)) == (["a"], ["a"])
