"""Remembers the messages that workers had in hand when they may have crashed."""

from __future__ import annotations

import hashlib
import uuid

import redis

from worker.redisio.translation import store_errors
from worker.state import keys

KEEP_SECONDS = 86_400
"""How long after its last mark a message is remembered."""


class RedisSuspects:
    """Implements `ports.Suspects` with one set per message: the processes that had it.

    A message is known by the digest of its bytes. Thread-safe.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._process = uuid.uuid4().hex

    def mark(self, raw: bytes) -> int:
        """See ports.Suspects. Takes one round trip."""
        with store_errors(), self._client.pipeline(transaction=True) as pipeline:
            pipeline.sadd(_key(raw), self._process)
            pipeline.expire(_key(raw), KEEP_SECONDS)
            pipeline.scard(_key(raw))
            count: int = pipeline.execute()[2]
            return count

    def clear(self, raw: bytes) -> None:
        """See ports.Suspects. Takes one round trip."""
        with store_errors():
            self._client.delete(_key(raw))


def _key(raw: bytes) -> str:
    return keys.SUSPECT + hashlib.sha256(raw).hexdigest()[:32]
