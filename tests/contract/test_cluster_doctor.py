"""What the start and doctor say of a Redis Cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import redis

from tests.cluster import Cluster
from tests.processes import free_port
from worker.cli.doctor import servers
from worker.cli.doctor.finding import Finding, Grade
from worker.core.shards import CLUSTER
from worker.errors import ConfigurationError
from worker.preflight.greeting import ask_store
from worker.redisio.connection import connect
from worker.settings import Settings
from worker.state import keys

BROKER = "amqp://127.0.0.1:1"


def settings(url: str, **given: str) -> Settings:
    return Settings.from_env({"REDIS_URL": url, "BROKER_URL": BROKER, **given})


def found(url: str) -> dict[str, Finding]:
    """Return what doctor says of the store, by subject. What differs by server comes last."""
    return {each.name: each for each in servers.store(settings(url))}


def test_doctor_tells_of_the_servers_of_a_cluster(cluster: Cluster) -> None:
    """How the shards are spread over them; what is the same at all of them is told once."""
    told = found(cluster.url)
    assert {each.grade for each in told.values()} == {Grade.OK}
    assert told["Redis Cluster"].text.startswith("3 primaries; shards: 6 on 127.0.0.1:")
    assert "127.0.0.1" not in told["Redis version"].text


def test_doctor_names_the_server_that_differs(cluster: Cluster) -> None:
    """Of three, the one whose settings lose jobs."""
    cluster.clients[1].config_set("maxmemory-policy", "allkeys-lru")
    try:
        wrong = [
            each
            for each in servers.store(settings(cluster.url))
            if each.name == "Redis eviction" and each.grade is Grade.FAIL
        ]
        (finding,) = wrong
        assert f"(127.0.0.1:{cluster.servers[1].port})" in finding.text
    finally:
        cluster.clients[1].config_set("maxmemory-policy", "noeviction")


def test_doctor_warns_of_servers_that_stop_with_others(cluster: Cluster) -> None:
    """Redis' default makes the loss of one server that of all accounts."""
    assert "Redis Cluster coverage" not in found(cluster.url)
    cluster.clients[2].config_set("cluster-require-full-coverage", "yes")
    try:
        told = found(cluster.url)["Redis Cluster coverage"]
        assert told.grade is Grade.WARN and told.text.endswith(f":{cluster.servers[2].port}")
    finally:
        cluster.clients[2].config_set("cluster-require-full-coverage", "no")


def test_start_writes_the_layout_of_a_cluster(cluster: Cluster) -> None:
    """With tags that are spread evenly. A start as one with 64 shards is refused."""
    ask_store(cluster.url)
    with connect(cluster.url) as client:
        stored = json.loads(client.get(keys.LAYOUT) or b"")
    assert stored["version"] == CLUSTER and stored["shards"] == 16 == len(set(stored["tags"]))
    assert found(cluster.url)["Redis layout"].text == "16 shards"
    (finding,) = (
        each
        for each in servers.store(settings(cluster.url, REDIS_SHARDS="64"))
        if each.name == "Redis layout"
    )
    assert finding.grade is Grade.FAIL and "16 shards" in finding.text and "64 shards" in finding.text


def test_one_server_is_no_cluster(redis_url: str) -> None:
    """It is refused in one line, because it will not become one."""
    with pytest.raises(ConfigurationError, match=r"^REDIS_URL: [^\n]*cluster support disabled[^\n]*$"):
        ask_store(redis_url.replace("redis://", "redis+cluster://"))


def test_start_goes_on_while_the_cluster_is_down() -> None:
    """It may come later; doctor says that nothing answers."""
    url = f"redis+cluster://127.0.0.1:{free_port()}"
    ask_store(url)
    (finding,) = found(url).values()
    assert finding.grade is Grade.FAIL


def test_queues_cannot_be_on_a_cluster() -> None:
    """A broker must be named, and it is something else."""
    with pytest.raises(
        ConfigurationError, match=r"^BROKER_URL: must be set where REDIS_URL is a Redis Cluster"
    ):
        Settings.from_env({"REDIS_URL": "redis+cluster://a,b"})
    with pytest.raises(ConfigurationError, match="BROKER_URL: is not an address"):
        settings("redis+cluster://a,b", BROKER_URL="redis+cluster://a,b")


def test_earlier_state_keeps_its_shards(client: redis.Redis, redis_url: str, tmp_path: Path) -> None:
    """An installation without a layout is one with 16 shards: another number is refused, and nothing is written."""
    client.set(keys.CLOCK, "1 1 1")
    (finding,) = (
        each
        for each in servers.store(Settings.from_env({"REDIS_URL": redis_url, "REDIS_SHARDS": "64"}))
        if each.name == "Redis layout"
    )
    with pytest.raises(
        ConfigurationError, match=r"^REDIS_URL: the state there is that of an earlier version"
    ):
        ask_store(redis_url)
    assert not client.exists(keys.LAYOUT) and finding.name
