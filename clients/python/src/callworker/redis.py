"""One connection to a Redis broker."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, RedisError, ResponseError
from redis.retry import Retry

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


class RedisSession:
    """Appends batches to the lists of their queues, each in one round trip; see `link.Session`.

    A batch is confirmed once Redis' file has it, so that a Redis that is killed and comes back does not forget it. If
    the user may not run INFO, that is not known, and jobs of the last two seconds can be lost then.
    """

    def __init__(self, address: Parameters, seconds: float, replicas: int = 0) -> None:
        """No wait is longer than `seconds`. `replicas` must have a batch too. Raises BrokerUnavailable."""
        self._client, self._replicas = client_of(address, seconds), replicas
        self._wait = wait_command(replicas, seconds)
        self._envelopes = Envelopes()
        with redis_errors("the broker cannot be used"), suppress(NoPermissionError):
            self._client.ping()

    def send(self, batch: Sequence[Message]) -> None:
        lists = self._envelopes.lists(batch)
        with redis_errors("the broker did not take a message"):
            with self._client.pipeline(transaction=False) as pipeline:
                for queue, messages in lists.items():
                    pipeline.lpush(queue, *messages)
                if self._replicas:
                    run: Any = pipeline.execute_command
                    run(*self._wait)
                pipeline.info("persistence")
                put_off = check(pipeline.execute(raise_on_error=False), list(lists), self._replicas)
            if put_off:
                self._wait_until_written()

    def _wait_until_written(self) -> None:
        """Source: `flushAppendOnlyFile` in aof.c of Redis 7 and of Valkey, which runs before answers are sent."""
        ends = time.monotonic() + MAX_PUT_OFF_SECONDS
        with suppress(ResponseError):
            while time.monotonic() < ends and puts_writes_off(self._client.info("persistence")):
                time.sleep(LOOK_SECONDS)

    def close(self) -> None:
        with suppress(RedisError, OSError):
            self._client.close()

    drop = close
    """redis-py only closes the socket, also of a connection that works."""

    forget = close
    """redis-py leaves alone the connections of the process from which this one was forked."""


def client_of(address: Parameters, seconds: float) -> redis.Redis:
    """Return a client that sends each command once, and waits for an answer for at most `seconds`."""
    made = bounded(address, seconds, seconds) | {
        "retry": Retry(NoBackoff(), 0),
        "retry_on_error": [],
        "protocol": 2,
    }
    return redis.Redis.from_pool(redis.ConnectionPool(**made))
