"""Each list of a Redis broker gets its share of a fetch, and no reply is too large."""

from __future__ import annotations

import json

import pytest
import redis

from tests.contract.filed_messages import INDEX, LARGE, UNACKED, age, is_filed, message, queued
from worker.core.ports import Whole
from worker.inbound.redis_lists import (
    FETCH_BYTES,
    MESSAGE_BYTES,
    RedisLists,
    uncut,
)
from worker.inbound.upkeep import ABANDONED_SECONDS

SHARES = ["calls", "calls.3", "calls.3\x06\x169", "calls.7"]


@pytest.fixture
def several(client: redis.Redis) -> RedisLists:
    """The lists of a queue and of all shards' queues."""
    return RedisLists(client, ["calls", *(f"calls.{shard}" for shard in range(16))], "calls")


def test_a_flood_in_one_list_leaves_the_others_their_share(client: redis.Redis, several: RedisLists) -> None:
    """A new message in another list is taken with the first batch, which is still full."""
    client.lpush("calls.3", *(message(routing_key="calls.3", id=n) for n in range(1000)))
    client.lpush("calls.7", message(routing_key="calls.7", id="behind"))
    taken = [json.loads(filed.raw)["id"] for filed in several.fetch(256, []).messages]
    assert [name for name in taken if name != "behind"] == list(range(255)) and "behind" in taken


@pytest.mark.parametrize("most", [4, 40, 103])
def test_full_lists_give_alike(client: redis.Redis, several: RedisLists, most: int) -> None:
    """Full lists get equal shares if room allows, each in its order; priority lists belong to their queue."""
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
    """Each list is served in turn, however long the list before it is."""
    client.lpush("calls.3", *(message(routing_key="calls.3") for _ in range(200)))
    client.lpush("calls.4", message(routing_key="calls.4"))
    taken = [json.loads(filed.raw) for _ in range(68) for filed in several.fetch(1, []).messages]
    keys = [each["properties"]["delivery_info"]["routing_key"] for each in taken]
    assert len(keys) == 68 and keys.count("calls.4") == 1


def test_a_shards_message_goes_back_to_its_own_list(client: redis.Redis, several: RedisLists) -> None:
    """The message is again before the shard's others, and no worker needs to know where it came from."""
    raw, later = (message("", routing_key="calls.11") for _ in range(2))
    client.lpush("calls.11", raw, later)
    several.hand_back([], [filed.tag for filed in several.fetch(1, []).messages])
    assert queued(client, "calls.11") == [later, raw] and is_filed(client) == (0, 0)


def test_a_worker_that_knows_no_shards_loses_none_of_their_messages(
    client: redis.Redis, lists: RedisLists, several: RedisLists
) -> None:
    """During an upgrade an older worker puts messages that a newer one lost back into `calls`."""
    raw = message("", routing_key="calls.11")
    client.lpush("calls.11", raw)
    several.fetch(1, [])
    age(client, ABANDONED_SECONDS)
    assert lists.restore_older_than(ABANDONED_SECONDS)[:2] == (1, [])
    assert queued(client) == [raw]


def test_what_is_too_large_is_filed_by_size_and_beginning(client: redis.Redis, lists: RedisLists) -> None:
    """Neither the reply nor Redis keeps the rest; when taken again, the message is reported in the same way (E6)."""
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
    """The message is reported once, by size and beginning, and takes no more room in Redis from then on (E6)."""
    filed = json.dumps([json.loads(message(body="y" * LARGE)), "", "calls"])
    client.hset(UNACKED, "odd", filed)
    client.zadd(INDEX, {"odd": 1})
    messages, (odd,), _ = lists.restore_older_than(15)
    assert (messages, uncut(odd.raw)[1]) == (0, Whole(len(filed)))
    assert client.hstrlen(UNACKED, "odd") < 20_000
    lists.fetch(0, [odd.tag])
    assert is_filed(client) == (0, 0)


def test_putting_back_is_bounded_in_bytes(client: redis.Redis, lists: RedisLists) -> None:
    """A backlog of large messages is put back in parts, and the reply says that there is more (E6)."""
    filed = json.dumps([json.loads(message(body="y" * 100_000)), "", "calls"])
    client.hset(UNACKED, mapping={f"tag{n}": filed for n in range(200)})
    client.zadd(INDEX, {f"tag{n}": n for n in range(200)})
    first, _, more = lists.restore_older_than(15)
    assert first < 100 and more
    second, _, _ = lists.restore_older_than(15)
    assert second > 0
