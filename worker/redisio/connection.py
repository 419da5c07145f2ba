"""Makes clients for Redis with bounded waits.

The store's clients, those of a Redis broker, and kombu's (`broker.transports`) are all made from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.retry import Retry

from callworker import redis_address
from callworker.masters import MasterConnection, MasterSSLConnection
from callworker.redis_address import Parameters
from worker.errors import ConfigurationError
from worker.redisio.cluster import ClusterNodes, Place
from worker.redisio.cluster_client import ClusterClient
from worker.redisio.primary import PrimaryConnection, PrimarySSLConnection, PrimaryUnixConnection
from worker.redisio.sentinel import SentinelConnection, SentinelSSLConnection

SOCKET_SECONDS = 5.0
"""The longest wait for a connection, and for an answer."""

CLUSTER_SCHEMES = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
"""How the address of a cluster begins, and how that of each of its servers would."""

_CLASSES = {
    Connection: PrimaryConnection,
    SSLConnection: PrimarySSLConnection,
    UnixDomainSocketConnection: PrimaryUnixConnection,
    MasterConnection: SentinelConnection,
    MasterSSLConnection: SentinelSSLConnection,
}


class Pool(redis.ConnectionPool):
    """Connections of redis-py, and how many replicas must have a write before anything follows from it."""

    replicas = 0


def connect(
    url: str, *, variable: str = "REDIS_URL", seconds: float = SOCKET_SECONDS, replicas: int = 0
) -> redis.Redis:
    """Return a client that waits `seconds` for a connection or an answer.

    `url` begins with redis://, rediss://, unix://, redis+sentinel:// or rediss+sentinel://.

    `replicas` is REDIS_REPLICAS, for a client whose writes have consequences elsewhere; see `worker.redisio.replicas`.

    It never repeats a command: a script whose answer was lost may have run. Connects at its first command. Raises
    ConfigurationError, which names `variable`, for an address that cannot be read.
    """
    try:
        if is_cluster(url):
            return _cluster(url, seconds, replicas)
        arguments = bounded(parameters(url), seconds, seconds)
    except ValueError as error:
        raise ConfigurationError(f"{variable}: {error}") from None
    return _client(arguments, replicas)


def _client(arguments: Parameters, replicas: int) -> redis.Redis:
    if replicas and "sentinels" in arguments:
        arguments = arguments | {"by_most": True}
    pool = Pool(**arguments)
    pool.replicas = replicas
    return redis.Redis.from_pool(pool)


def is_cluster(url: str) -> bool:
    """Return whether an address is that of a Redis Cluster."""
    return url.partition("://")[0].lower() in CLUSTER_SCHEMES


def _cluster(url: str, seconds: float, replicas: int) -> ClusterClient:
    """Return a client for `redis+cluster://user:password@host:port,host:port/0`. Raises ValueError."""
    servers = [parameters(each) for each in _servers(url)]
    if any(each["db"] != 0 for each in servers):
        raise ValueError("names a database other than 0, which a Redis Cluster does not have")

    def client_at(place: Place, wait: float | None) -> redis.Redis:
        bound = min(seconds, wait or seconds)
        return _client(bounded(servers[0], bound, bound) | place._asdict(), replicas)

    seeds = [Place(each.get("host", "localhost"), int(each.get("port", 6379))) for each in servers]
    return ClusterClient(ClusterNodes(seeds, client_at))


def _servers(url: str) -> list[str]:
    """Return an address for each of the servers that the address of a cluster names."""
    scheme, _, rest = url.partition("://")
    end = next((n for n, sign in enumerate(rest) if sign in "/?#"), len(rest))
    credentials, at, hosts = rest[:end].rpartition("@")
    plain = CLUSTER_SCHEMES[scheme.lower()]
    return [f"{plain}://{credentials}{at}{host}{rest[end:]}" for host in hosts.split(",")]


def bounded(given: Mapping[str, Any], answer_seconds: float, connect_seconds: float) -> Parameters:
    """Return the arguments of a connection pool. Timeouts in the address count only if they are shorter."""
    made = redis_address.bounded(given, answer_seconds, connect_seconds)
    return made | {"retry": Retry(NoBackoff(), 0), "retry_on_error": [], "protocol": 2}


def parameters(url: str) -> Parameters:
    """Read an address. Raises ValueError; its text repeats nothing that could be part of a password."""
    read = redis_address.parameters(url)
    return read | {"connection_class": _CLASSES[read.get("connection_class", Connection)]}
