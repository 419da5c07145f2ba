"""What is said of a Redis that is not the one primary that holds everything: a node of a cluster, or a replica."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, application
from tests.processes import free_port, wait_until
from tests.redis_server import RedisServer, follow
from worker.cli.doctor import servers
from worker.cli.doctor.finding import Finding, Grade
from worker.errors import ConfigurationError, StoreUnavailable
from worker.network.causes import Cause, cause_of
from worker.preflight.greeting import ask_broker, ask_store
from worker.redisio.connection import connect
from worker.settings import Settings

SLOTS = 16384
CLUSTER_ABOVE = 10_000
"""A node of a cluster also listens on the port that is so much higher."""
OWNER = account()


def started(stack: ExitStack, folder: Path, *options: str) -> tuple[str, redis.Redis]:
    """Return the address of a new server, and a client."""
    folder.mkdir()
    server = stack.enter_context(RedisServer(folder, *options, port=free_port(above=CLUSTER_ABOVE)))
    return server.url, stack.enter_context(redis.Redis.from_url(server.url))


def found(url: str) -> dict[str, Finding]:
    """Return what doctor says of the store, by subject."""
    return {each.name: each for each in servers.store(Settings.from_env({"REDIS_URL": url}))}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The first of two nodes, each with a half of the slots."""
    folder = tmp_path_factory.mktemp("cluster")
    with ExitStack() as stack:
        nodes = [started(stack, folder / name, "--cluster-enabled", "yes") for name in ("one", "two")]
        (url, one), (_, two) = nodes
        run: Any = one.execute_command
        other: Any = two.execute_command
        run("CLUSTER", "ADDSLOTS", *range(SLOTS // 2))
        other("CLUSTER", "ADDSLOTS", *range(SLOTS // 2, SLOTS))
        run("CLUSTER", "MEET", "127.0.0.1", two.connection_pool.connection_kwargs["port"])
        wait_until(lambda: all(_is_ready(node) for _, node in nodes), "the cluster is ready")
        yield url


def _is_ready(node: Any) -> bool:
    told: bytes = node.execute_command("CLUSTER", "INFO")
    return b"cluster_state:ok" in told and b"cluster_known_nodes:2" in told


def test_node_of_a_cluster_ends_the_start(cluster: str) -> None:
    """Neither state nor queues may be on it: the line says what it is, and names the variable."""
    with pytest.raises(ConfigurationError, match=r"^REDIS_URL: [^\n]*node of a Redis Cluster[^\n]*$"):
        ask_store(cluster)
    with pytest.raises(ConfigurationError, match=r"^BROKER_URL: [^\n]*node of a Redis Cluster[^\n]*$"):
        ask_broker(cluster, "BROKER_URL")
    (finding,) = found(cluster).values()
    assert finding.grade is Grade.FAIL and "no part of a cluster" in finding.remedy


def test_move_to_another_node_is_not_followed(cluster: str) -> None:
    """A shard that another node has is not available. It is no fault of the program."""
    owners = [account(f"account-{n}") for n in range(40)]
    with connect(cluster) as client, pytest.raises(StoreUnavailable, match="MOVED") as caught:
        redis_ledger(client).admit([application(f"job-{owner.name}", owner) for owner in owners])
    assert cause_of(caught.value) is Cause.CLUSTER


def test_replica_is_told_as_such(tmp_path: Path) -> None:
    """Doctor names its primary, and says of the primary whether its replicas keep up."""
    with ExitStack() as stack:
        url, primary = started(stack, tmp_path / "primary")
        replica_url, replica = started(stack, tmp_path / "replica")
        assert "Redis replicas" not in found(url)
        follow(replica, primary)
        wait_until(lambda: "Redis replicas" in found(url), "the primary counts its replica")
        wait_until(lambda: found(url)["Redis replicas"].grade is Grade.OK, "the replica is online")
        said = found(replica_url)
        assert url.removeprefix("redis://").removesuffix("/0") in said["Redis role"].text
        assert said["Redis role"].grade is said["Redis writes"].grade is Grade.FAIL
        assert "name the primary in REDIS_URL" in said["Redis writes"].remedy


def test_want_of_replicas_is_told_as_such(tmp_path: Path) -> None:
    """Where Redis refuses writes because replicas are missing, doctor and the error say so."""
    with ExitStack() as stack:
        url, client = started(stack, tmp_path / "primary", "--min-replicas-to-write", "1")
        assert "min-replicas-to-write" in found(url)["Redis writes"].remedy
        with pytest.raises(StoreUnavailable, match="NOREPLICAS") as caught:
            redis_ledger(client).admit([application("a", OWNER)])
        assert cause_of(caught.value) is Cause.REPLICAS
