"""Kombu's lists on a real Redis: taken and filed at once, put back byte for byte, readable for stock kombu."""

from __future__ import annotations

import json
from typing import cast

import pytest
import redis
from kombu import Connection, Exchange, Queue

from tests.contract.filed_messages import INDEX, JOB, UNACKED, age, is_filed, message, queued
from tests.doubles.clocks import FakeClock
from worker.inbound.redis_lists import (
    MAX_RESTORE,
    WRONG_SECONDS,
    RedisLists,
)
from worker.inbound.upkeep import ABANDONED_SECONDS

KEYS = [
    "calls",
    'a "quoted" key',
    "back\\slash",
    'both \\" of them\\',
    "a,b",
    "]",
    "ключ",
    "",
    "sp ace/slash",
]


@pytest.mark.parametrize("routing_key", KEYS)
@pytest.mark.parametrize("exchange", ["calls", 'odd","one'])
def test_any_message_goes_back_as_it_was(
    client: redis.Redis, lists: RedisLists, exchange: str, routing_key: str
) -> None:
    """Byte for byte, into the list that a worker reads, whatever its exchange and routing key are called."""
    raw = message(exchange, routing_key)
    client.lpush("calls", raw)
    (filed,) = lists.fetch(10, []).messages
    assert filed.raw == raw and not filed.restored and is_filed(client) == (1, 1)
    assert json.loads(cast(bytes, client.hget(UNACKED, filed.tag))) == [
        json.loads(raw),
        exchange,
        routing_key,
    ]
    lists.hand_back([], [filed.tag])
    assert queued(client) == [raw] and is_filed(client) == (0, 0)
    (again,) = lists.fetch(10, []).messages
    assert again.raw == raw and again.restored


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"\x00\xff\x80 binary \n",
        b'"text"',
        b"[]",
        b"42",
        message(tag="x").replace(b'"delivery_tag": "x"', b'"delivery_tag": 7'),
        message(exchange=None),
        message(routing_key=["calls"]),
        b'{"properties": "none"}',
    ],
)
def test_what_is_no_message_goes_back_as_it_was(client: redis.Redis, lists: RedisLists, raw: bytes) -> None:
    """It is kept for somebody to bury it; taken again, it is known to have been taken before."""
    client.lpush("calls", raw)
    (filed,) = lists.fetch(10, []).messages
    assert filed.raw == raw
    lists.hand_back([], [filed.tag])
    assert queued(client) == [raw] and is_filed(client) == (0, 0)
    (again,) = lists.fetch(10, []).messages
    assert again.raw == raw and again.restored
    lists.fetch(10, [again.tag])
    assert is_filed(client) == (0, 0) and not client.exists("calls.restored")


def test_a_foreign_message_goes_back_to_its_own_list(client: redis.Redis, lists: RedisLists) -> None:
    """A list for a priority is one of the queue's."""
    client.lpush("calls\x06\x169", b"{")
    lists.hand_back([], [filed.tag for filed in lists.fetch(10, []).messages])
    assert queued(client, "calls\x06\x169") == [b"{"]


@pytest.mark.parametrize("raw", [message(tag="same"), b"{"])
def test_messages_of_one_tag_do_not_displace_each_other(
    client: redis.Redis, lists: RedisLists, raw: bytes
) -> None:
    """A producer that is careless with tags loses nothing: each message is filed and acknowledged by itself."""
    other = raw.replace(b"e30=", b"e31=")
    client.lpush("calls", raw, other, raw)
    first, second, third = lists.fetch(10, []).messages
    lists.fetch(10, [first.tag])
    assert is_filed(client) == (2, 2)
    lists.hand_back([], [second.tag, third.tag])
    assert sorted(queued(client)) == sorted([second.raw, third.raw])


def kombu_files(client: redis.Redis, raw: bytes, exchange: str, routing_key: str) -> None:
    """File a message as kombu's own QoS does, in its spelling: with spaces, and ASCII only."""
    client.hset(UNACKED, "tag", json.dumps([json.loads(raw), exchange, routing_key]))
    client.zadd(INDEX, {"tag": 1.5})


@pytest.mark.parametrize("routing_key", KEYS)
def test_what_kombu_filed_is_put_back(client: redis.Redis, lists: RedisLists, routing_key: str) -> None:
    """Its spaces and escapes are no obstacle."""
    raw = message(routing_key=routing_key)
    kombu_files(client, raw, 'odd "one"', routing_key)
    assert lists.restore_older_than(60)[:2] == (1, [])
    assert queued(client) == [raw] and is_filed(client) == (0, 0)


def test_what_is_filed_here_kombu_puts_back(client: redis.Redis, lists: RedisLists, redis_url: str) -> None:
    """Stock kombu, pointed at these keys, restores a message that was fetched by the script."""
    queue = Queue("calls", Exchange("calls", type="direct"), "calls")
    options = {"unacked_key": UNACKED, "unacked_index_key": INDEX}
    with Connection(redis_url, transport_options=options) as connection, connection.channel() as channel:
        producer = connection.Producer(channel)
        producer.publish({"n": 2**60 + 1}, exchange=queue.exchange, routing_key="calls", declare=[queue])
        (filed,) = lists.fetch(10, []).messages
        channel.qos.restore_by_tag(filed.tag.decode())
        restored = queue.bind(channel).get(no_ack=True)
        assert restored is not None and restored.payload == {"n": 2**60 + 1}
    assert is_filed(client) == (0, 0)


def test_a_producers_message_goes_through_whole(
    client: redis.Redis, lists: RedisLists, redis_url: str
) -> None:
    """Fetched, put back, and received by stock kombu."""
    queue = Queue("calls", Exchange("calls", type="direct"), "calls")
    with Connection(redis_url) as connection, connection.channel() as channel:
        connection.Producer(channel).publish(JOB, exchange="calls", routing_key="calls", declare=[queue])
        lists.hand_back([], [filed.tag for filed in lists.fetch(10, []).messages])
        received = queue.bind(channel).get(no_ack=True)
        assert received is not None and received.payload == JOB


UNREADABLE = ["{", "[]", "[1,2]", '["x","calls"]', '[{},"calls",7]', "17", "null", '[{"a":1},"calls",["b"]]']


@pytest.mark.parametrize("filed", UNREADABLE)
def test_what_cannot_be_read_stays_filed_and_is_told(
    client: redis.Redis, lists: RedisLists, filed: str
) -> None:
    """An unreadable message is reported once for each such period, and is gone when it is acknowledged."""
    client.hset(UNACKED, "odd", filed)
    client.zadd(INDEX, {"odd": 1})
    messages, (odd,), _ = lists.restore_older_than(15)
    assert (messages, odd.tag, odd.raw) == (0, b"odd", filed.encode())
    assert is_filed(client) == (1, 1) and lists.restore_older_than(15)[:2] == (0, [])
    lists.fetch(10, [odd.tag])
    assert is_filed(client) == (0, 0)


def test_what_cannot_be_read_does_not_block_the_others(client: redis.Redis, lists: RedisLists) -> None:
    """More of it than is looked at in one go, all of it older."""
    client.hset(UNACKED, mapping={f"odd{n}": "{" for n in range(MAX_RESTORE + 5)})
    client.zadd(INDEX, {f"odd{n}": n for n in range(MAX_RESTORE + 5)})
    client.lpush("calls", message())
    (filed,) = lists.fetch(1, []).messages
    client.zadd(INDEX, {filed.tag: MAX_RESTORE + 5})
    lists.restore_older_than(15)
    messages, odd, _ = lists.restore_older_than(15)
    assert messages == 1 and len(odd) == 5 and len(queued(client)) == 1


def test_a_tag_without_a_message_is_struck_off(client: redis.Redis, lists: RedisLists) -> None:
    """There is nothing to put back, and it is not looked at for ever."""
    client.zadd(INDEX, {"nothing": 1})
    assert lists.restore_older_than(15)[:2] == (0, [])
    assert is_filed(client) == (0, 0)


def test_what_is_kept_is_not_put_back(client: redis.Redis, lists: RedisLists) -> None:
    """`keep` renews the time of a filed message, and does not bring back one that was struck off meanwhile."""
    client.lpush("calls", message(), message())
    kept, left = (filed.tag for filed in lists.fetch(10, []).messages)
    client.zadd(INDEX, {kept: 1, left: 1})
    lists.keep([kept, b"struck off"])
    assert lists.restore_older_than(15)[:2] == (1, [])
    assert client.hkeys(UNACKED) == [kept] and client.zrange(INDEX, 0, -1) == [kept]


@pytest.mark.parametrize("key", ["calls", "calls.7"])
@pytest.mark.parametrize("kind", ["stream", "string", "hash"])
def test_a_key_of_another_type_stops_no_other(client: redis.Redis, key: str, kind: str) -> None:
    """It is named and left alone; put right it is used again, without a restart (B8)."""
    clock = FakeClock()
    lists = RedisLists(client, ["calls", "calls.7"], "calls", clock)
    spoil(client, key, kind)
    other = "calls" if key == "calls.7" else "calls.7"
    client.lpush(other, message())
    assert len(lists.fetch(10, []).messages) == 1 and lists.wrong == {key}
    client.delete(key)
    client.lpush(key, message())
    assert lists.fetch(10, []).messages == []
    clock.advance(WRONG_SECONDS)
    assert len(lists.fetch(10, []).messages) == 1 and lists.wrong == frozenset()


def spoil(client: redis.Redis, key: str, kind: str) -> None:
    """Put something of another type there."""
    if kind == "stream":
        client.xadd(key, {"job": "{}"})
    elif kind == "hash":
        client.hset(key, "job", "{}")
    else:
        client.set(key, "x")


@pytest.mark.parametrize("key", [UNACKED, INDEX, "calls.restored"])
def test_with_a_key_of_filing_spoiled_nothing_is_taken_or_lost(
    client: redis.Redis, lists: RedisLists, key: str
) -> None:
    """Messages stay in their lists, and the key is named (B8)."""
    client.set(key, "x")
    client.lpush("calls", message())
    assert lists.fetch(10, [b"some tag"]).messages == [] and key in lists.wrong
    assert lists.restore_older_than(1)[:2] == (0, [])
    assert len(queued(client)) == 1
    client.delete(key)
    assert len(lists.fetch(10, []).messages) == 1


def test_a_lost_message_whose_list_is_spoiled_stays_filed(client: redis.Redis, lists: RedisLists) -> None:
    """The message stays filed until the list is repaired; then it goes back (B8)."""
    client.lpush("calls", message())
    lists.fetch(10, [])
    client.set("calls", "x")
    age(client, ABANDONED_SECONDS)
    assert lists.restore_older_than(ABANDONED_SECONDS)[:2] == (0, [])
    assert is_filed(client) == (1, 1) and lists.wrong == {"calls"}
    client.delete("calls")
    age(client, ABANDONED_SECONDS)
    assert lists.restore_older_than(ABANDONED_SECONDS)[:2] == (1, [])
