"""Remembers the messages that workers had in hand when they may have crashed."""

from __future__ import annotations

import hashlib
import uuid

import redis

from worker.state import keys
from worker.state.lua import store_scripts

KEEP_SECONDS = 86_400
"""How long after its last mark a message is remembered."""


class RedisSuspects:
    """Implements `ports.Suspects` with one set per message: the processes that had it.

    A message is known by the digest of its bytes. Thread-safe.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._scripts = store_scripts(client)
        self._process = uuid.uuid4().hex

    def mark(self, raw: bytes) -> int:
        """See ports.Suspects. Takes one round trip."""
        key = _key(raw)
        *_, count = self._scripts.look_all([
            ("SADD", key, self._process), ("EXPIRE", key, KEEP_SECONDS), ("SCARD", key)
        ])  # fmt: skip
        return int(count)

    def clear(self, raw: bytes) -> None:
        """See ports.Suspects. Takes one round trip."""
        self._scripts.look_all([("DEL", _key(raw))])


def _key(raw: bytes) -> str:
    return keys.SUSPECT + hashlib.sha256(raw).hexdigest()[:32]
