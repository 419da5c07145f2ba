"""The bell is heard when any client puts something into a list."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
import redis

from worker.errors import StoreUnavailable
from worker.redisio.bell import Bell
from worker.redisio.connection import connect

SECONDS = 30.0


@pytest.fixture
def bell(client: redis.Redis) -> Iterator[Bell]:
    bell = Bell(client, "calls")
    bell.hang()
    assert bell.hung
    yield bell
    bell.take_down()


@pytest.mark.parametrize("name", ["calls", "calls.0", "calls.15", "calls\x06\x163"])
def test_it_rings_for_each_list_that_begins_with_the_prefix(
    client: redis.Redis, bell: Bell, name: str
) -> None:
    """Queues, those of shards and those of priorities."""
    client.lpush(name, "message")
    assert bell.wait(SECONDS)


def test_it_rings_for_what_came_since_it_was_hung(client: redis.Redis, bell: Bell) -> None:
    """The bell also rings for a message that came while nobody was waiting."""
    client.lpush("calls", "message")
    client.ping()
    assert bell.wait(SECONDS)


def test_it_is_silent_about_other_keys(client: redis.Redis, bell: Bell) -> None:
    """A message in another list does not ring the bell."""
    client.lpush("other", "message")
    client.ping()
    assert not bell.wait(0)


def test_a_bell_is_hung_as_often_as_there_are_quiet_times(client: redis.Redis, bell: Bell) -> None:
    """More often than there may be connections, of which it takes one."""
    for _ in range(client.connection_pool.max_connections + 1):
        bell.take_down()
        bell.hang()
    assert bell.hung


def test_a_bell_that_was_taken_down_rings_no_more(client: redis.Redis, bell: Bell) -> None:
    """A bell that is hung again rings for what comes after that."""
    client.lpush("calls", "message")
    bell.take_down()
    assert not bell.hung
    bell.hang()
    assert not bell.wait(0)
    client.lpush("calls", "message")
    assert bell.wait(SECONDS)


def test_a_connection_that_is_lost_is_told(client: redis.Redis, bell: Bell) -> None:
    """Nobody must wait for a bell whose wire is cut."""
    client.client_kill_filter(_type="pubsub")
    with pytest.raises(StoreUnavailable):
        bell.wait(SECONDS)


def test_where_the_server_does_not_allow_it_there_is_none(client: redis.Redis, redis_url: str) -> None:
    """A user without the right to it, or a service without the command: the worker goes on looking."""
    cast(Any, client).execute_command(
        "ACL", "SETUSER", "plain", "on", "nopass", "~*", "&*", "+@all", "-client"
    )
    try:
        with connect(redis_url.replace("redis://", "redis://plain:any@")) as limited:
            bell = Bell(limited, "calls")
            for _ in range(2):
                bell.hang()
                assert not bell.hung
    finally:
        cast(Any, client).execute_command("ACL", "DELUSER", "plain")
