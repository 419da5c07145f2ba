"""The servers of a Redis Cluster: how each command finds its own, and what happens while slots move."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import pytest
import redis
from redis.exceptions import AskError, RedisError

from tests.cluster import Cluster
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import report
from tests.processes import free_port, wait_until
from worker.errors import ConfigurationError, StoreUnavailable
from worker.redisio.cluster import slot_of
from worker.redisio.cluster_client import nodes_of
from worker.redisio.connection import connect
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall
from worker.state import keys
from worker.state.ledger import RedisLedger
from worker.state.lua import store_scripts
from worker.state.refused_results import RefusedResults
from worker.state.suspects import RedisSuspects
from worker.state.workers import RedisWorkers

LEASE = (0, 30_000_000, 20_000, "x")
"""Arguments of the script `lease` that lease nothing."""


@pytest.fixture
def client(cluster: Cluster) -> Iterator[redis.Redis]:
    with connect(cluster.url) as connected:
        yield connected


@pytest.fixture
def scripts(client: redis.Redis) -> Scripts:
    return store_scripts(client)


@contextmanager
def moving(cluster: Cluster, key: str) -> Iterator[int]:
    """Begin to move the slot of a key away, and complete and undo that in the end. Yields the number of its server."""
    slot = slot_of(key)
    source = cluster.owner_of(slot)
    target = (source + 1) % 3
    cluster.begin_move(slot, source, target)
    try:
        yield source
    finally:
        cluster.move_keys(slot, source, target)
        cluster.end_move(slot, source, target)
        cluster.move(slot, target, source)


def lease(scripts: Scripts) -> list[Any]:
    """Run a script that goes over all shards."""
    return scripts.run_each([ScriptCall("lease", some, LEASE) for some in scripts.groups(keys.prefixes())])


def leased_everywhere(scripts: Scripts) -> int:
    """Return how many calls reached all shards together; 0 if one was refused, as some servers hear late of a move."""
    replies = lease(scripts)
    return 0 if any(isinstance(reply, Exception) for reply in replies) else len(replies)


def test_slots_are_those_of_redis(cluster: Cluster) -> None:
    """A key, a hash tag, and braces that are none."""
    for key in ("a", "callworker:id:a", "callworker:{3.8}:due", "{}a", "a{", "a}{b}{c}"):
        one: Any = cluster.clients[0]
        assert slot_of(key) == slot_of(key.encode()) == one.execute_command("CLUSTER", "KEYSLOT", key)


def test_commands_go_to_their_servers(client: redis.Redis) -> None:
    """One by one and in a pipeline, where a command without a key goes with its neighbour."""
    names = [f"key-{n}" for n in range(30)]
    for name in names[:10]:
        client.set(name, name)
    with client.pipeline(transaction=False) as pipeline:
        pipeline.time()
        for name in names:
            pipeline.set(name, name, nx=True)
            pipeline.get(name)
        time, *replies = pipeline.execute()
    assert len(time) == 2
    assert replies[1::2] == [name.encode() for name in names]
    assert replies[::2] == [None] * 10 + [True] * 20
    assert client.ping()


def test_errors_of_a_pipeline_are_those_of_their_commands(client: redis.Redis) -> None:
    """As with one server: the first is raised, or each is in its place."""
    names = [f"key-{n}" for n in range(6)]
    for name in names:
        client.set(name, "x")
    pipeline = client.pipeline(transaction=False)
    for name in names:
        pipeline.get(name)
    pipeline.llen(names[3])
    *found, error = pipeline.execute(raise_on_error=False)
    assert found == [b"x"] * 6 and "WRONGTYPE" in str(error)
    pipeline.llen(names[3])
    with pytest.raises(RedisError, match=r"Command # 1 \(LLEN key-3\).*WRONGTYPE"):
        pipeline.execute()


def test_server_that_is_left_alone_is_not_waited_for(client: redis.Redis) -> None:
    """What one thread has found out counts for all that use the client, also for what is in no shard."""
    refused, suspects = RefusedResults(store_scripts(client)), RedisSuspects(client)
    refused.tell("full")
    assert refused.read() == "full" and suspects.mark(b"a message") == 1
    nodes = nodes_of(client).all()
    for node in nodes:
        node.standing.away = redis.TimeoutError("it hangs")
    for ask in (refused.read, refused.withdraw, lambda: suspects.mark(b"a message")):
        with pytest.raises(StoreUnavailable, match="it hangs"):
            ask()
    for node in nodes:
        node.standing.away = None
    refused.withdraw()
    suspects.clear(b"a message")
    assert refused.read() is None and suspects.mark(b"a message") == 1


def test_script_over_shards_is_one_call_for_each_server(scripts: Scripts) -> None:
    """Every shard is in one of the groups, and each server takes its own."""
    groups = scripts.groups(keys.prefixes())
    assert len(groups) == 3 and sorted(map(len, groups)) == [5, 5, 6]
    assert sorted(chain.from_iterable(groups)) == sorted(keys.prefixes())
    wait_until(lambda: leased_everywhere(scripts) == 3, "each server takes its own")


def test_slot_that_moved_is_found(cluster: Cluster, client: redis.Redis, scripts: Scripts) -> None:
    """Scripts, commands and pipelines follow in the same call, and the next ones know the way."""
    name, shard = "callworker:id:a", keys.prefix(3)
    client.set(name, "acme")
    wait_until(lambda: leased_everywhere(scripts) == 3, "the map is complete")
    for key in (name, shard):
        source = cluster.owner_of(slot_of(key))
        cluster.move(slot_of(key), source, (source + 1) % 3)
    try:
        assert scripts.run_commands([("GET", name)]) == [b"acme"] and client.get(name) == b"acme"
        assert len(scripts.run(ScriptCall("lease", [shard], LEASE))) == 2
        wait_until(lambda: leased_everywhere(scripts) == 3, "all servers know of the move")
    finally:
        for key in (name, shard):
            source = cluster.owner_of(slot_of(key))
            cluster.move(slot_of(key), source, (source + 2) % 3)


def test_shard_on_its_way_is_left_alone(cluster: Cluster, scripts: Scripts) -> None:
    """A call over several shards changes nothing, then only the shard that moves waits. It is not followed."""
    wait_until(lambda: leased_everywhere(scripts) == 3, "the map is complete")
    # The second one of a group: the first one is the call's key.
    shard = scripts.groups(keys.prefixes())[0][1]
    with moving(cluster, shard):
        replies = lease(scripts)
        refused = [reply for reply in replies if isinstance(reply, StoreUnavailable)]
        assert len(refused) == 1 and "TRYAGAIN" in str(refused[0])
        replies = lease(scripts)
        assert len(replies) > 3
        (refusal,) = [reply for reply in replies if isinstance(reply, Exception)]
        assert isinstance(refusal, StoreUnavailable) and isinstance(refusal.__cause__, AskError)
        (other,) = scripts.run_each([ScriptCall("hold", shard, ("acme", "why"))])
        assert isinstance(other, StoreUnavailable)
        assert not any(client.keys(f"{shard}limit:*") for client in cluster.clients)


def test_reports_of_workers_need_one_slot_alone(cluster: Cluster, client: redis.Redis) -> None:
    """Whichever server has it: nothing that is written with them is elsewhere."""
    workers, ledger = RedisWorkers(client), redis_ledger(client)
    for key in (keys.WORKERS, keys.FILES):
        slot = slot_of(key)
        for _ in cluster.servers:
            source = cluster.owner_of(slot)
            cluster.move(slot, source, (source + 1) % 3)
            wait_until(lambda: _reported(workers, ledger), "a worker reports")
    assert len(workers.fleet().living) == 1


def _reported(workers: RedisWorkers, ledger: RedisLedger) -> bool:
    """Report once; False while some servers have not heard of a move."""
    try:
        workers.report(report(), 1.0, 0.0)
        ledger.announce("abc", {})
    except StoreUnavailable:
        return False
    return True


def test_cluster_may_come_later() -> None:
    """A client is made while nothing listens; each use says so, as for one server."""
    with connect(f"redis+cluster://127.0.0.1:{free_port()},localhost:{free_port()}") as client:
        (reply,) = store_scripts(client).commands_each([("GET", "a")])
        assert isinstance(reply, StoreUnavailable) and "ConnectionError" in str(reply)
        with pytest.raises(redis.ConnectionError):
            client.get("a")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("redis+cluster://a,b/1", "database other than 0"),
        ("redis+cluster://a,b:x/0", "cannot be read"),
        ("redis+cluster://a?tulip=1", "option that is not known"),
        ("redis+cluster://a?ssl_cert_reqs=none", "rediss://"),
    ],
)
def test_address_that_cannot_be_used_is_refused(url: str, problem: str) -> None:
    """In one line, with the name of the variable."""
    with pytest.raises(ConfigurationError, match=f"^REDIS_URL: [^\n]*{problem}"):
        connect(url)


def test_address_may_name_user_password_and_ports(cluster: Cluster) -> None:
    """Any server that is named tells of the others, and what is not there is passed over."""
    gone = free_port()
    for client in cluster.clients:
        client.acl_setuser("cw", enabled=True, passwords=["+p@ss"], keys=["*"], categories=["+@all"])
    with connect(
        f"redis+cluster://cw:p%40ss@127.0.0.1:{gone},127.0.0.1:{cluster.servers[1].port}/0"
    ) as client:
        assert client.set("a", "1") and client.get("a") == b"1"
    wrong = connect(f"redis+cluster://cw:tulip@127.0.0.1:{cluster.servers[1].port}")
    with wrong, pytest.raises(redis.AuthenticationError):
        wrong.get("a")
