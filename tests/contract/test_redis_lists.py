"""Kombu's lists on a real Redis: taken and filed at once, put back byte for byte, readable for stock kombu."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable
from typing import Any, cast

import pytest
import redis
from kombu import Connection, Exchange, Queue

from tests.doubles.clocks import FakeClock
from tests.doubles.takers import Taker
from worker.core.judging import Broken, Submission
from worker.core.ports import Whole
from worker.errors import StoreUnavailable
from worker.failpoints import FailpointReached
from worker.inbound.listening import QUIET_SECONDS
from worker.inbound.redis_lists import (
    FETCH_BYTES,
    MAX_RESTORE,
    MESSAGE_BYTES,
    WRONG_SECONDS,
    RedisLists,
    uncut,
)
from worker.inbound.redis_queue import BUSY_SECONDS, IDLE_SECONDS, RedisQueue
from worker.inbound.upkeep import ABANDONED_SECONDS, KEEP_SECONDS

UNACKED, INDEX = "calls.unacked", "calls.unacked_index"
JOB = {"id": "a", "account": "acme", "country": "1", "phone": "2125555555", "code": "4321"}


@pytest.fixture
def lists(client: redis.Redis) -> RedisLists:
    return RedisLists(client, ["calls"], "calls")


def message(
    exchange: Any = "calls", routing_key: Any = "calls", tag: str | None = None, **more: Any
) -> bytes:
    """As kombu writes it, with things in it that Lua's JSON would not write alike."""
    info = {"exchange": exchange, "routing_key": routing_key}
    properties = {"delivery_tag": tag or uuid.uuid4().hex, "delivery_info": info, "body_encoding": "base64"}
    headers = {"task": "calls.verify", "id": "a", "empty": [], "large": 2**60 + 1, "path": "a/b", "ü": "\\"}
    return json.dumps({"body": "e30=", "headers": headers, "properties": properties} | more).encode()


def queued(client: redis.Redis, name: str = "calls") -> list[bytes]:
    return cast(list[bytes], client.lrange(name, 0, -1))


def is_filed(client: redis.Redis) -> tuple[int, int]:
    return client.hlen(UNACKED), client.zcard(INDEX)


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
    """What kombu's own QoS does, in its own spelling: with spaces, and nothing but ASCII."""
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
    """Once, not again until it has lain for as long once more; and it is gone when it is acknowledged."""
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
    """To keep is to file anew as far as time goes; what was struck off meanwhile does not come back by it."""
    client.lpush("calls", message(), message())
    kept, left = (filed.tag for filed in lists.fetch(10, []).messages)
    client.zadd(INDEX, {kept: 1, left: 1})
    lists.keep([kept, b"struck off"])
    assert lists.restore_older_than(15)[:2] == (1, [])
    assert client.hkeys(UNACKED) == [kept] and client.zrange(INDEX, 0, -1) == [kept]


SHARES = ["calls", "calls.3", "calls.3\x06\x169", "calls.7"]


@pytest.fixture
def several(client: redis.Redis) -> RedisLists:
    """The lists of a queue and of all shards' queues."""
    return RedisLists(client, ["calls", *(f"calls.{shard}" for shard in range(16))], "calls")


def test_a_flood_in_one_list_leaves_the_others_their_share(client: redis.Redis, several: RedisLists) -> None:
    """What has just come into another list is taken with the first batch, which is full all the same."""
    client.lpush("calls.3", *(message(routing_key="calls.3", id=n) for n in range(1000)))
    client.lpush("calls.7", message(routing_key="calls.7", id="behind"))
    taken = [json.loads(filed.raw)["id"] for filed in several.fetch(256, []).messages]
    assert [name for name in taken if name != "behind"] == list(range(255)) and "behind" in taken


@pytest.mark.parametrize("most", [4, 40, 103])
def test_full_lists_give_alike(client: redis.Redis, several: RedisLists, most: int) -> None:
    """As far as the room can be divided, in the order of each; a priority's list is one of its queue's."""
    for name in SHARES:
        client.lpush(name, *(message(routing_key=name, id=n) for n in range(100)))
    taken: dict[str, list[int]] = {name: [] for name in SHARES}
    for filed in several.fetch(most, []).messages:
        document = json.loads(filed.raw)
        taken[document["properties"]["delivery_info"]["routing_key"]].append(document["id"])
    assert sum(map(len, taken.values())) == most
    assert {len(ids) for ids in taken.values()} <= {most // 4, most // 4 + 1}
    assert all(ids == list(range(len(ids))) for ids in taken.values())


def test_where_there_is_room_for_one_each_list_comes_first_in_time(
    client: redis.Redis, several: RedisLists
) -> None:
    """However long the list before it is."""
    client.lpush("calls.3", *(message(routing_key="calls.3") for _ in range(200)))
    client.lpush("calls.4", message(routing_key="calls.4"))
    taken = [json.loads(filed.raw) for _ in range(68) for filed in several.fetch(1, []).messages]
    keys = [each["properties"]["delivery_info"]["routing_key"] for each in taken]
    assert len(keys) == 68 and keys.count("calls.4") == 1


def test_a_shards_message_goes_back_to_its_own_list(client: redis.Redis, several: RedisLists) -> None:
    """It lies before that shard's others again, and no worker needs to know where it came from."""
    raw, later = (message("", routing_key="calls.11") for _ in range(2))
    client.lpush("calls.11", raw, later)
    several.hand_back([], [filed.tag for filed in several.fetch(1, []).messages])
    assert queued(client, "calls.11") == [later, raw] and is_filed(client) == (0, 0)


def test_a_worker_that_knows_no_shards_loses_none_of_their_messages(
    client: redis.Redis, lists: RedisLists, several: RedisLists
) -> None:
    """While workers are upgraded: an older one puts back into `calls` what a newer one had taken and lost."""
    raw = message("", routing_key="calls.11")
    client.lpush("calls.11", raw)
    several.fetch(1, [])
    age(client, ABANDONED_SECONDS)
    assert lists.restore_older_than(ABANDONED_SECONDS)[:2] == (1, [])
    assert queued(client) == [raw]


LARGE = 8 * 2**20


def test_what_is_too_large_is_filed_by_size_and_beginning(client: redis.Redis, lists: RedisLists) -> None:
    """Neither the reply nor Redis keeps the rest; put back and taken again it is told alike (E6)."""
    raw = message(body="y" * LARGE)
    client.lpush("calls", raw)
    (filed,) = lists.fetch(10, []).messages
    assert uncut(filed.raw) == (raw[:8192], Whole(len(raw)))
    assert client.hstrlen(UNACKED, filed.tag) < 20_000
    lists.hand_back([], [filed.tag])
    (again,) = lists.fetch(10, []).messages
    assert (again.raw, again.restored) == (filed.raw, True)
    lists.fetch(0, [again.tag])
    assert is_filed(client) == (0, 0)


def test_a_reply_is_bounded_in_bytes(client: redis.Redis, lists: RedisLists) -> None:
    """However many messages lie there, of whatever size, and none is left behind for it (E6)."""
    client.lpush("calls", *(message(body="y" * 100_000) for _ in range(100)))
    client.lpush("calls", *(message(body="y" * (2**20)) for _ in range(20)))
    taken = 0
    while True:
        messages, more = lists.fetch(256, [])
        assert sum(len(filed.raw) for filed in messages) < FETCH_BYTES + 8 * MESSAGE_BYTES
        taken += len(messages)
        if not more:
            break
    assert taken == 120


@pytest.mark.parametrize(
    "raw",
    [b"callworker:cut:", b"callworker:cut:12", b"callworker:cut:x:y", b"callworker:cut:" + b"9" * 99 + b":"],
)
def test_only_the_scripts_own_mark_is_one(raw: bytes) -> None:
    """A producer may write anything."""
    assert uncut(raw) == (raw, None)


def test_what_an_older_worker_filed_whole_is_put_aside_by_size(
    client: redis.Redis, lists: RedisLists
) -> None:
    """It is told once, by its size and beginning, and takes no more room in Redis from then on (E6)."""
    filed = json.dumps([json.loads(message(body="y" * LARGE)), "", "calls"])
    client.hset(UNACKED, "odd", filed)
    client.zadd(INDEX, {"odd": 1})
    messages, (odd,), _ = lists.restore_older_than(15)
    assert (messages, uncut(odd.raw)[1]) == (0, Whole(len(filed)))
    assert client.hstrlen(UNACKED, "odd") < 20_000
    lists.fetch(0, [odd.tag])
    assert is_filed(client) == (0, 0)


def test_putting_back_is_bounded_in_bytes(client: redis.Redis, lists: RedisLists) -> None:
    """A backlog of large messages is put back bit by bit, and it is told that there is more (E6)."""
    filed = json.dumps([json.loads(message(body="y" * 100_000)), "", "calls"])
    client.hset(UNACKED, mapping={f"tag{n}": filed for n in range(200)})
    client.zadd(INDEX, {f"tag{n}": n for n in range(200)})
    first, _, more = lists.restore_older_than(15)
    assert first < 100 and more
    second, _, _ = lists.restore_older_than(15)
    assert second > 0


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
    """Until the list is put right; then it goes back (B8)."""
    client.lpush("calls", message())
    lists.fetch(10, [])
    client.set("calls", "x")
    age(client, ABANDONED_SECONDS)
    assert lists.restore_older_than(ABANDONED_SECONDS)[:2] == (0, [])
    assert is_filed(client) == (1, 1) and lists.wrong == {"calls"}
    client.delete("calls")
    age(client, ABANDONED_SECONDS)
    assert lists.restore_older_than(ABANDONED_SECONDS)[:2] == (1, [])


class Worker:
    """One worker's queue, with a clock of its own."""

    def __init__(self, client: redis.Redis, **bounds: int) -> None:
        self.taker, self.clock, self.calls = Taker(), FakeClock(), 0
        self.queue = RedisQueue(client, self.taker, lambda: self.calls, self.clock, **bounds)

    def later(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.queue.turn()


def age(client: redis.Redis, seconds: float) -> None:
    """Let what is filed have been filed so much earlier."""
    for tag, score in cast(Any, client.zrange(INDEX, 0, -1, withscores=True)):
        client.zadd(INDEX, {tag: score - seconds})


def listeners(client: redis.Redis) -> int:
    """How many connections hear of changes to lists."""
    return len(cast(Any, client.client_list(_type="pubsub")))


class TestRedisQueue:
    """What a worker does with the lists."""

    def test_in_quiet_times_it_listens(self, client: redis.Redis) -> None:
        """What comes then is taken at the next turn, and after that it looks often again, without a bell."""
        worker = Worker(client)
        for _ in range(3):
            worker.later(QUIET_SECONDS)
        assert listeners(client) == 1
        client.lpush("calls.7", message())
        worker.queue.turn()
        assert len(worker.taker.entries) == 1
        assert listeners(client) == 0

    def test_a_bell_that_does_not_ring_holds_nothing_up(self, client: redis.Redis) -> None:
        """What came before it was hung, or was not told of, is found by looking."""
        client.lpush("calls", message())
        worker = Worker(client)
        worker.clock.advance(QUIET_SECONDS)
        worker.queue.turn()
        assert len(worker.taker.entries) == 1
        assert listeners(client) == 0

    def test_it_looks_less_often_while_it_begins_many_calls(self, client: redis.Redis) -> None:
        """Each look takes time from them; with few calls, or none, a new message is found soon."""
        worker = Worker(client)
        pauses = []
        for calls in (0, 1, 40, 1):
            worker.clock.advance(0.1)
            worker.calls += calls
            pauses.append(worker.queue.turn())
        assert pauses == [IDLE_SECONDS, IDLE_SECONDS, BUSY_SECONDS, IDLE_SECONDS]

    def test_a_message_is_handed_over_and_acknowledged(self, client: redis.Redis) -> None:
        """It is filed until its entry is done."""
        body = base64.b64encode(json.dumps([[], JOB, {}]).encode()).decode()
        client.lpush("calls", message(body=body, **{"content-type": "application/json"}))
        worker = Worker(client)
        worker.queue.turn()
        (content,) = worker.taker.contents()
        assert isinstance(content, Submission) and content.fields == JOB and content.default_id == "a"
        assert is_filed(client) == (1, 1)
        worker.taker.entries[0].done()
        worker.queue.turn()
        assert is_filed(client) == (0, 0)

    def test_a_lost_workers_messages_are_taken_over(self, client: redis.Redis) -> None:
        """Once it has kept nothing for a while; they come as redelivered."""
        client.lpush("calls", message())
        Worker(client).queue.turn()
        age(client, ABANDONED_SECONDS - 1)
        other = Worker(client)
        other.queue.turn()
        assert other.taker.entries == []
        age(client, 1)
        other.later(KEEP_SECONDS)
        other.queue.turn()
        assert [entry.redelivered for entry in other.taker.entries] == [True]

    def test_a_living_workers_messages_are_left_to_it(self, client: redis.Redis) -> None:
        """However long they take."""
        client.lpush("calls", message())
        slow, other = Worker(client), Worker(client)
        slow.queue.turn()
        for _ in range(5):
            age(client, ABANDONED_SECONDS - 0.1)
            slow.later(KEEP_SECONDS)
            other.later(KEEP_SECONDS)
            other.queue.turn()
        assert other.taker.entries == [] and is_filed(client) == (1, 1)

    def test_a_worker_whose_intake_is_stuck_is_relieved(self, client: redis.Redis) -> None:
        """It keeps nothing and fetches nothing more, so that another worker gets what it has in hand (E1)."""
        client.lpush("calls", message())
        stuck, other = Worker(client), Worker(client)
        stuck.queue.turn()
        stuck.taker.stuck, stuck.taker.room_bytes = True, 0
        age(client, ABANDONED_SECONDS)
        stuck.later(KEEP_SECONDS)
        other.later(KEEP_SECONDS)
        assert len(stuck.taker.entries) == 1
        assert [entry.redelivered for entry in other.taker.entries] == [True]

    def test_after_an_outage_the_living_speak_first(self, client: redis.Redis) -> None:
        """Nobody could keep anything meanwhile, so nothing is put back at once; what is in hand is kept at once."""
        client.lpush("calls", message(), message())
        slow, other = Worker(client), Worker(client)
        slow.queue.turn()
        client.lpush("calls", message())
        other.queue.turn()
        client.replicaof("127.0.0.1", "1")
        try:
            for worker in (slow, other):
                worker.clock.advance(KEEP_SECONDS)
                with pytest.raises(StoreUnavailable):
                    worker.queue.turn()
        finally:
            client.replicaof("NO", "ONE")
        age(client, 60)
        other.queue.turn()
        assert client.zcount(INDEX, "-inf", float(client.time()[0]) - 30) == 2 and not queued(client)
        slow.queue.turn()
        other.later(KEEP_SECONDS)
        other.queue.turn()
        assert is_filed(client) == (3, 3) and len(other.taker.entries) == 1

    def test_what_cannot_be_read_is_handed_over_as_broken(self, client: redis.Redis) -> None:
        """So that it is buried with a reason; it is handed over once, and struck off when that is done."""
        client.hset(UNACKED, "odd", '[{"body": "c2VjcmV0IHBpbiA0MzIxIGFuZCBtb3Jl"}, 7, 8]')
        client.zadd(INDEX, {"odd": 1})
        worker = Worker(client)
        for _ in range(3):
            worker.later(KEEP_SECONDS)
            age(client, 60)
        (entry,) = worker.taker.entries
        assert entry.read() == Broken("filed as unacknowledged in a form that cannot be read")
        assert entry.shown is not None
        assert b"c2VjcmV0" not in entry.shown() and b"[base64]" in entry.shown()
        entry.done()
        worker.queue.turn()
        assert is_filed(client) == (0, 0)

    def test_a_backlog_of_lost_messages_is_put_back_without_a_pause(self, client: redis.Redis) -> None:
        """Several workers may have died at once."""
        client.hset(
            UNACKED, mapping={f"tag{n}": '[{"n": 1},"calls","calls"]' for n in range(MAX_RESTORE + 7)}
        )
        client.zadd(INDEX, {f"tag{n}": 1 for n in range(MAX_RESTORE + 7)})
        worker = Worker(client, max_in_hand=0)
        worker.queue.turn()
        worker.queue.turn()
        assert len(queued(client)) == MAX_RESTORE + 7

    def test_closing_hands_back_what_is_not_on_record(self, client: redis.Redis) -> None:
        """What is done is struck off, the rest lies in its list for others."""
        client.lpush("calls", message(), message())
        worker = Worker(client)
        worker.queue.turn()
        worker.taker.entries[0].done()
        worker.queue.close()
        assert is_filed(client) == (0, 0) and len(queued(client)) == 1

    @pytest.mark.parametrize("fail", ["fetch.before=raise", "fetch.after=raise"])
    def test_an_error_nobody_foresaw_loses_nothing(
        self, client: redis.Redis, armed: Callable[[str], None], fail: str
    ) -> None:
        """What was to be acknowledged still is; what was fetched and not handed over is put back in time."""
        client.lpush("calls", message())
        worker = Worker(client)
        worker.queue.turn()
        worker.taker.entries[0].done()
        armed(fail)
        client.lpush("calls", message())
        with pytest.raises(FailpointReached):
            worker.queue.turn()
        worker.queue.turn()
        age(client, ABANDONED_SECONDS)
        worker.later(KEEP_SECONDS)
        worker.queue.turn()
        assert len(worker.taker.entries) == 2
        worker.taker.entries[1].done()
        worker.queue.turn()
        assert is_filed(client) == (0, 0)

    def test_messages_too_large_are_handed_over_one_after_the_other(self, client: redis.Redis) -> None:
        """Each once, as a dead letter of its size: no reply outlasts its time, and those behind them come too (E6)."""
        client.lpush("calls", *(message(body="y" * LARGE) for _ in range(20)), message())
        worker = Worker(client)
        for _ in range(30):
            worker.queue.turn()
        *large, good = worker.taker.entries
        assert len(large) == 20 and good.cut is None
        for entry in large:
            assert entry.read() == Broken("larger than 131072 bytes")
            assert entry.cut is not None and entry.cut.size > LARGE and len(entry.raw) == 8192

    def test_a_reply_that_does_not_come_halves_the_next(
        self, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It may have been too long for its time; what comes in time doubles it again (E6)."""
        asked: list[tuple[int, int]] = []
        worker, away = Worker(client), [True]
        whole = RedisLists.fetch

        def fetch(lists: RedisLists, most: int, acknowledged: Any, most_bytes: int) -> Any:
            asked.append((most, most_bytes))
            if away[0]:
                raise StoreUnavailable("Redis does not answer")
            return whole(lists, most, acknowledged, most_bytes)

        monkeypatch.setattr(RedisLists, "fetch", fetch)
        for _ in range(10):
            with pytest.raises(StoreUnavailable):
                worker.queue.turn()
        away[0] = False
        for _ in range(9):
            worker.queue.turn()
        counts = [256, 128, 64, 32, 16, 8, 4, 2, 1, 1, 1, 2, 4, 8, 16, 32, 64, 128, 256]
        assert asked == [(count, FETCH_BYTES * count // 256) for count in counts]

    def test_no_more_is_fetched_than_there_is_room_for(self, client: redis.Redis) -> None:
        """The bound is in bytes, and common to all ways in (E6)."""
        client.lpush("calls", message(), message())
        worker = Worker(client)
        worker.taker.room_bytes = 0
        assert worker.queue.turn() > 0 and worker.taker.entries == []
        worker.taker.room_bytes = 1
        worker.queue.turn()
        assert len(worker.taker.entries) == 2

    def test_an_empty_look_is_no_fetch(self, client: redis.Redis, armed: Callable[[str], None]) -> None:
        """A fault that waits for something to have been taken is not spent on nothing."""
        armed("fetch.after=raise")
        worker = Worker(client)
        worker.queue.turn()
        client.lpush("calls", message())
        with pytest.raises(FailpointReached):
            worker.queue.turn()
