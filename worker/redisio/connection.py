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
from callworker.redis_address import Parameters
from worker.errors import ConfigurationError
from worker.redisio.primary import PrimaryConnection, PrimarySSLConnection, PrimaryUnixConnection

SOCKET_SECONDS = 5.0
"""The longest wait for a connection, and for an answer."""

_CLASSES = {
    Connection: PrimaryConnection,
    SSLConnection: PrimarySSLConnection,
    UnixDomainSocketConnection: PrimaryUnixConnection,
}


class Pool(redis.ConnectionPool):
    """Connections of redis-py, and how many replicas must have a write before anything follows from it."""

    replicas = 0


def connect(
    url: str, *, variable: str = "REDIS_URL", seconds: float = SOCKET_SECONDS, replicas: int = 0
) -> redis.Redis:
    """Return a client for `url` (redis://, rediss://, unix://) that waits `seconds` for a connection or an answer.

    `replicas` is REDIS_REPLICAS, for a client whose writes have consequences elsewhere; see `worker.redisio.replicas`.

    It never repeats a command: a script whose answer was lost may have run. Connects at its first command. Raises
    ConfigurationError, which names `variable`, for an address that cannot be read.
    """
    try:
        arguments = bounded(parameters(url), seconds, seconds)
    except ValueError as error:
        raise ConfigurationError(f"{variable}: {error}") from None
    pool = Pool(**arguments)
    pool.replicas = replicas
    return redis.Redis.from_pool(pool)


def bounded(given: Mapping[str, Any], answer_seconds: float, connect_seconds: float) -> Parameters:
    """Return the arguments of a connection pool. Timeouts in the address count only if they are shorter."""
    made = redis_address.bounded(given, answer_seconds, connect_seconds)
    return made | {"retry": Retry(NoBackoff(), 0), "retry_on_error": [], "protocol": 2}


def parameters(url: str) -> Parameters:
    """Read an address. Raises ValueError; its text repeats nothing that could be part of a password."""
    read = redis_address.parameters(url)
    return read | {"connection_class": _CLASSES[read.get("connection_class", Connection)]}
