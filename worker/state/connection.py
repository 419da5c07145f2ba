"""Clients for Redis, with bounded waits."""

from __future__ import annotations

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

SOCKET_SECONDS = 5.0


def connect(url: str, *, blocking_seconds: float = 0.0) -> redis.Redis:
    """A client for `url` (redis://, rediss://, unix://) whose calls end within 5 s and `blocking_seconds`.

    It never repeats a command by itself: a script whose answer was lost may have run.
    """
    over_tcp: dict[str, Any] = {"socket_connect_timeout": SOCKET_SECONDS, "socket_keepalive": True}
    return redis.Redis.from_url(
        url,
        **({} if url.startswith("unix:") else over_tcp),
        socket_timeout=SOCKET_SECONDS + blocking_seconds,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
        protocol=2,
    )
