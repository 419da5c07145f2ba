"""Finds out whether a Redis broker takes messages, by a write that a full Redis refuses."""

from __future__ import annotations

import redis

from worker.broker.connection import broker_errors
from worker.core.figures import BrokerFacts
from worker.errors import BrokerRefused, BrokerUnavailable
from worker.network.causes import Cause, cause_of
from worker.redisio import replicas

KEY = "calls.write-check"
"""Beside the queues, so that a user who may send jobs may write it. It holds nothing of use."""

MARK = "calls.replicas"
"""The same for `worker.redisio.replicas`."""

KEPT_SECONDS = 60


class RedisWriteCheck:
    """Writes one small key in one round trip, and in a second one asks for replicas if `client` waits for them.

    For a broker that is not the store, which has a check of its own.

    Known weakness: a user who may not write the key learns nothing; such a broker counts as well.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def ask(self) -> BrokerFacts:
        """Return what the broker did with the write. Does not raise: `problem` says why it did not take it."""
        try:
            with broker_errors("the broker does not take a message"):
                self._client.set(KEY, b"1", ex=KEPT_SECONDS)
                replicas.check(self._client, MARK)
        except BrokerRefused:
            return BrokerFacts()
        except BrokerUnavailable as error:
            return BrokerFacts(error, full=cause_of(error) in (Cause.MEMORY, Cause.DISK))
        return BrokerFacts()
