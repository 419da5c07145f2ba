"""How the state is divided: written by the first worker, and compared by all."""

from __future__ import annotations

import json

import pytest
import redis

from tests.doubles.samples import account, application
from worker.cli.doctor import servers
from worker.cli.doctor.finding import Finding, Grade
from worker.core.shards import ON_ONE_SERVER
from worker.errors import ConfigurationError, OtherLayout
from worker.network.causes import Cause, cause_of
from worker.preflight.greeting import ask_store
from worker.redisio.node import Node
from worker.settings import Settings
from worker.state import keys
from worker.state.layout import AgreedNodes
from worker.state.ledger import RedisLedger
from worker.state.lua import store_scripts

OTHER = {"version": 1, "shards": 32, "tags": [str(n) for n in range(32)]}


def found(url: str) -> Finding:
    """Return what doctor says of the layout."""
    (one,) = (
        one for one in servers.store(Settings.from_env({"REDIS_URL": url})) if one.name == "Redis layout"
    )
    return one


def worker_on(client: redis.Redis) -> RedisLedger:
    """A worker's ledger that first makes sure of the layout."""
    nodes = AgreedNodes(client)
    return RedisLedger(store_scripts(client, nodes), lease_seconds=30.0, retention_seconds=3600)


def test_first_start_writes_the_layout(client: redis.Redis, redis_url: str) -> None:
    """Doctor alone writes nothing; later starts leave what is written."""
    assert found(redis_url).text == "16 shards, as soon as the first worker starts"
    assert not client.exists(keys.LAYOUT)
    ask_store(redis_url)
    assert json.loads(client.get(keys.LAYOUT) or b"") == {
        "version": 1, "shards": 16, "tags": [str(n) for n in range(16)]
    }  # fmt: skip
    ask_store(redis_url)
    assert found(redis_url) == Finding.ok("Redis layout", "16 shards")


@pytest.mark.parametrize("stored", [json.dumps(OTHER), "[]", "{", '{"version":2}'])
def test_other_layout_ends_the_start(client: redis.Redis, redis_url: str, stored: str) -> None:
    """In one line, with what is there. Doctor says the same, and nothing replaces what is stored."""
    client.set(keys.LAYOUT, stored)
    with pytest.raises(ConfigurationError, match=r"^REDIS_URL: the state there has [^\n]*layout[^\n]*$"):
        ask_store(redis_url)
    assert found(redis_url).grade is Grade.FAIL
    assert client.get(keys.LAYOUT) == stored.encode()


def test_other_layout_is_found_at_the_first_use(client: redis.Redis) -> None:
    """Where Redis was away at the start, nothing is written as long as the layout is another one."""
    client.set(keys.LAYOUT, json.dumps(OTHER))
    ledger, owner = worker_on(client), account()
    for _ in range(2):
        with pytest.raises(OtherLayout, match="32 shards") as caught:
            ledger.admit([application("a", owner)])
        assert cause_of(caught.value) is Cause.LAYOUT
    assert client.keys() == [keys.LAYOUT.encode()]
    client.set(keys.LAYOUT, ON_ONE_SERVER.packed())
    ledger.admit([application("a", owner)])


def test_layout_is_asked_for_once(client: redis.Redis) -> None:
    """Then the servers are used as they are."""
    nodes = AgreedNodes(client)
    node = nodes.of("a")
    assert isinstance(node, Node) and client.get(keys.LAYOUT) == ON_ONE_SERVER.packed().encode()
    client.set(keys.LAYOUT, json.dumps(OTHER))
    assert nodes.of("b") is node and list(nodes.all()) == [node]
