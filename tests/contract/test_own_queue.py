"""A queue of a program's own gets each event beside all other queues, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import amqp
import pytest
import redis
from kombu import Connection

from tests.processes import wait_until
from tests.rabbit import GuardedNode
from worker.broker.own_queue import LIFE_MS, OwnQueue
from worker.broker.queues import is_listener
from worker.delivery.ports import OutgoingEvent
from worker.delivery.reader import read_results
from worker.delivery.results import ResultsQueue
from worker.errors import BrokerRefused, BrokerUnavailable

BODY = '{"id":"evt_1","note":"Grüße, 你好 \\u0000"}'
EVENTS = [OutgoingEvent("call.placed", BODY), OutgoingEvent("call.failed", "{}")]


@pytest.fixture
def broker(request: pytest.FixtureRequest) -> str:
    """The URL of an empty broker of the kind that the test is parametrized with."""
    if request.param == "memory":
        with Connection("memory://") as memory:
            memory.default_channel.queue_purge("results")
        return "memory://"
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def results(broker: str) -> Iterator[ResultsQueue]:
    with closing(ResultsQueue(broker)) as results:
        results.prepare()
        yield results


on_every_broker = pytest.mark.parametrize("broker", ["memory", "redis", "amqp"], indirect=True)
on_redis = pytest.mark.parametrize("broker", ["redis"], indirect=True)
on_amqp = pytest.mark.parametrize("broker", ["amqp"], indirect=True)


def name_of(queue: OwnQueue) -> str:
    return str(queue._queue.name)


def traces(client: redis.Redis) -> set[str]:
    """The lists and bindings of such queues in Redis."""
    keys: Any = client.keys("results.listen.*")
    bindings: Any = client.smembers("_kombu.binding.results")
    names = {binding.decode().rpartition("\x16")[2] for binding in bindings}
    return {key.decode() for key in keys} | {name for name in names if is_listener(name)}


def is_gone(broker: str, queue: OwnQueue) -> bool:
    """Whether the broker has no such queue. RabbitMQ is sent a message for it, because a declaration would be a use."""
    if broker.startswith("redis"):
        with redis.Redis.from_url(broker) as client:
            return not client.exists(name_of(queue))
    returned: list[Any] = []
    with Connection(broker) as connection, connection.channel() as channel:
        channel.events["basic_return"].add(lambda *told: returned.append(told))
        channel.basic_publish_confirm(amqp.Message("{}"), routing_key=name_of(queue), mandatory=True)
    return bool(returned)


@on_every_broker
def test_each_queue_gets_every_event_of_a_call(broker: str, results: ResultsQueue) -> None:
    """The events come byte for byte and in order, each once, and queue `results` and a second such queue lose none."""
    with closing(OwnQueue(broker)) as one, closing(OwnQueue(broker)) as two:
        assert one.take() == []
        results.publish(EVENTS)
        results.publish([OutgoingEvent("endpoint.disabled", "no call"), OutgoingEvent("call.unknown", "[1]")])
        expected = [BODY.encode(), b"{}", b"[1]"]
        assert one.take() == expected and one.take() == []
        assert two.take() == expected
    assert list(read_results(broker)) == [BODY, "{}", "no call", "[1]"]


@on_amqp
def test_closed_queue_is_gone(broker: str, results: ResultsQueue) -> None:
    """The broker has it no longer, and takes what is published after that for the other queues."""
    with closing(OwnQueue(broker)) as queue:
        results.publish(EVENTS)
    results.publish(EVENTS)
    assert is_gone(broker, queue)


@on_redis
def test_nothing_is_left_in_redis(broker: str, results: ResultsQueue) -> None:
    """While it runs the list has an end, which each look puts off. After it neither list nor binding is there."""
    with redis.Redis.from_url(broker) as client:
        with closing(OwnQueue(broker)) as queue:
            client.pexpire(name_of(queue), LIFE_MS // 2)
            queue.take()
            assert LIFE_MS // 2 < client.pttl(name_of(queue)) <= LIFE_MS
            results.publish(EVENTS)
            assert 0 < client.pttl(name_of(queue)) <= LIFE_MS
        assert traces(client) == set()


@on_redis
def test_list_of_a_killed_program_ends(broker: str, results: ResultsQueue) -> None:
    """Once its list has expired no worker fills it again, and the next such program removes its binding."""
    with redis.Redis.from_url(broker) as client:
        killed = OwnQueue(broker, life_ms=1)
        wait_until(lambda: not client.exists(name_of(killed)), "the list has expired")
        results.publish(EVENTS)
        assert not client.exists(name_of(killed)) and traces(client) == {name_of(killed)}
        with closing(OwnQueue(broker)) as queue:
            assert traces(client) == {name_of(queue)}
        killed._link.abandon()


@on_redis
def test_list_that_an_older_worker_made_again_is_removed(broker: str, results: ResultsQueue) -> None:
    """A worker of an earlier version adds to a list that has expired, which then has no end."""
    with redis.Redis.from_url(broker) as client:
        killed = OwnQueue(broker)
        client.delete(name_of(killed))
        client.lpush(name_of(killed), "{}")
        with closing(OwnQueue(broker)) as queue:
            assert traces(client) == {name_of(queue)}
        killed._link.abandon()


@pytest.mark.parametrize(("broker", "life_ms"), [("redis", 1), ("amqp", 5000)], indirect=["broker"])
def test_program_that_slept_too_long_is_told(broker: str, results: ResultsQueue, life_ms: int) -> None:
    """A stopped program does not fill the broker: its queue goes. That it has missed events is an error."""
    with closing(OwnQueue(broker, life_ms=life_ms)) as queue:
        wait_until(lambda: is_gone(broker, queue), "the queue is gone")
        with pytest.raises(BrokerUnavailable, match="gone|no queue"):
            queue.take()


@on_amqp
def test_queue_of_a_killed_program_goes_with_its_connection(broker: str, results: ResultsQueue) -> None:
    """The broker itself removes it."""
    killed = OwnQueue(broker)
    killed._link.abandon()
    wait_until(lambda: is_gone(broker, killed), "the queue is gone")


def test_user_without_the_right_is_told(node: GuardedNode) -> None:
    """The line names the queue. Only a user who may configure, write and read such names can have one."""
    node.empty()
    with closing(ResultsQueue(node.url())) as results:
        results.prepare()
    with pytest.raises(BrokerRefused, match=r"results\.listen\."):
        OwnQueue(node.url("porter"))
    node.empty()


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_absent_broker_raises(scheme: str) -> None:
    """Nothing listens there."""
    with pytest.raises(BrokerUnavailable, match="refused"):
        OwnQueue(f"{scheme}://127.0.0.1:1")
