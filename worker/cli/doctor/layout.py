"""Says how the state is divided, and whether this program divides it in the same way; asks each server of a cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import redis
from redis.exceptions import RedisError, ResponseError

from worker.cli.doctor.finding import Finding
from worker.core.figures import StoreFacts
from worker.errors import OtherLayout
from worker.network.causes import Cause
from worker.network.remedies import REMEDIES, remedy_of
from worker.redisio.cluster_client import nodes_of
from worker.redisio.node import Node
from worker.redisio.nodes import Nodes
from worker.state import keys
from worker.state.layout import check
from worker.state.write_check import WriteCheck


@dataclass(frozen=True, slots=True)
class Server:
    """A server of the store: its place, its own information if this user may ask for it, and how it takes writes."""

    place: str
    facts: Mapping[str, Any] | None
    told: StoreFacts


def look(client: redis.Redis) -> list[Finding]:
    """Compare what Redis has with what this program does. Raises redis-py's errors."""
    nodes = nodes_of(client)
    found = [_shards_of_servers(client), *_coverage(nodes)] if nodes.several else []
    try:
        known = check(client)
    except OtherLayout as error:
        return [*found, Finding.fail("Redis layout", str(error), remedy_of(error, "REDIS_URL"))]
    shards = f"{keys.layout().shards} shards"
    text = shards if known else f"{shards}, as soon as the first worker starts"
    return [*found, Finding.ok("Redis layout", text)]


def each_server(client: redis.Redis, write_check: WriteCheck) -> list[Server]:
    """Ask each server. Raises redis-py's errors and StoreUnavailable."""
    asked = zip(nodes_of(client).all(), write_check.ask_each(), strict=True)
    return [Server(_place(node), _facts(node), told) for node, told in asked]


def together(
    servers: Sequence[Server], findings_of: Callable[[Server], Iterable[Finding]]
) -> Iterator[Finding]:
    """Yield what is found of each server: once what is the same at all of them, else with the server's place."""
    found = [(server.place, finding) for server in servers for finding in findings_of(server)]
    same = Counter(finding for _, finding in found)
    told = set[Finding]()
    for place, finding in found:
        if same[finding] < len(servers):
            yield replace(finding, text=f"{finding.text} ({place})")
        elif finding not in told:
            yield finding
        told.add(finding)


def _shards_of_servers(client: redis.Redis) -> Finding:
    nodes, missing, counts = nodes_of(client), 0, Counter[Node]()
    for prefix in keys.prefixes():
        try:
            counts[nodes.of(prefix)] += 1
        except RedisError:
            missing += 1
    shares = ", ".join(f"{counts[node]} on {_place(node)}" for node in nodes.all())
    if missing:
        text = f"no server has {missing} of the shards; {shares}"
        return Finding.fail("Redis Cluster", text, REMEDIES[Cause.SLOTS])
    return Finding.ok("Redis Cluster", f"{len(counts)} primaries; shards: {shares}")


def _coverage(nodes: Nodes) -> Iterator[Finding]:
    """Warn of servers that stop as soon as any other one is away. Nothing is told to a user without CONFIG."""
    stopping = [_place(node) for node in nodes.all() if _stops_with_others(node)]
    if stopping:
        yield Finding.warn(
            "Redis Cluster coverage",
            f"while one server is away, all accounts wait on {', '.join(stopping)}",
            "set `cluster-require-full-coverage no` in Redis",
        )


def _stops_with_others(node: Node) -> bool:
    with suppress(RedisError, OSError):
        told: Any = node.client.config_get("cluster-require-full-coverage")
        return "yes" in told.values()
    return False


def _place(node: Node) -> str:
    arguments = node.client.connection_pool.connection_kwargs
    return str(arguments.get("path") or f"{arguments.get('host')}:{arguments.get('port')}")


def _facts(node: Node) -> dict[str, Any] | None:
    try:
        facts: Any = node.client.info("everything")
    except ResponseError:
        return None
    except (RedisError, OSError):
        # "Redis writes" says why.
        return {}
    return dict(facts)
