"""One connection to a Redis broker from asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import redis.asyncio as redis
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.connection import SSLConnection as BlockingSSLConnection
from redis.connection import UnixDomainSocketConnection as BlockingUnixConnection
from redis.exceptions import NoPermissionError, RedisError, ResponseError

from callworker.aio.masters import MasterConnection, MasterSSLConnection
from callworker.masters import MasterConnection as BlockingMasterConnection
from callworker.masters import MasterSSLConnection as BlockingMasterSSLConnection
from callworker.message import Message
from callworker.redis_address import Parameters, bounded
from callworker.redis_lists import (
    LOOK_SECONDS,
    MAX_PUT_OFF_SECONDS,
    Envelopes,
    check,
    puts_writes_off,
    redis_errors,
)
from callworker.replicas import wait_command

_CLASSES: Mapping[Any, Any] = {
    BlockingSSLConnection: SSLConnection,
    BlockingUnixConnection: UnixDomainSocketConnection,
    BlockingMasterConnection: MasterConnection,
    BlockingMasterSSLConnection: MasterSSLConnection,
    None: redis.Connection,
}


class AsyncRedisSession:
    """Appends batches to the lists of their queues, each in one round trip. See `callworker.redis.RedisSession`."""

    def __init__(self, client: redis.Redis, seconds: float, replicas: int) -> None:
        self._client, self._replicas = client, replicas
        self._wait = wait_command(replicas, seconds)
        self._envelopes = Envelopes()

    async def send(self, batch: Sequence[Message]) -> None:
        lists = self._envelopes.lists(batch)
        with redis_errors("the broker did not take a message"):
            async with self._client.pipeline(transaction=False) as pipeline:
                for queue, messages in lists.items():
                    pipeline.lpush(queue, *messages)
                if self._replicas:
                    pipeline.execute_command(*self._wait)
                pipeline.info("persistence")
                put_off = check(await pipeline.execute(raise_on_error=False), list(lists), self._replicas)
            if put_off:
                await self._wait_until_written()

    async def _wait_until_written(self) -> None:
        ends = time.monotonic() + MAX_PUT_OFF_SECONDS
        with suppress(ResponseError):
            while time.monotonic() < ends and puts_writes_off(await self._client.info("persistence")):
                await asyncio.sleep(LOOK_SECONDS)

    async def close(self) -> None:
        with suppress(RedisError, OSError):
            await self._client.aclose()


def client_of(address: Parameters, seconds: float) -> redis.Redis:
    """Return a client that sends each command once, and waits for an answer for at most `seconds`."""
    made = bounded(address, seconds, seconds) | {
        "connection_class": _CLASSES[address.get("connection_class")],
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "protocol": 2,
    }
    return redis.Redis.from_pool(redis.ConnectionPool(**made))


async def connect(address: Parameters, seconds: float, replicas: int = 0) -> AsyncRedisSession:
    """Connect; no wait is longer than `seconds`. `replicas` must have a batch too. Raises BrokerUnavailable."""
    client = client_of(address, seconds)
    try:
        with redis_errors("the broker cannot be used"), suppress(NoPermissionError):
            await client.ping()
    except BaseException:
        await client.aclose()
        raise
    return AsyncRedisSession(client, seconds, replicas)
