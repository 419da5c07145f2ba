"""The drain that an operator begins and ends, and what is left until it is complete."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import redis
from redis.exceptions import ResponseError

from worker.core.fleet import Drain
from worker.privacy.redaction import redactor
from worker.redisio.texts import ScriptCall
from worker.redisio.translation import store_errors
from worker.state import keys
from worker.state.lua import store_scripts

MAX_REASON = 200
"""Characters of a reason."""


class RedisDrain:
    """The drain as all workers see it. Each method takes one round trip and may raise StoreUnavailable. Thread-safe."""

    def __init__(self, client: redis.Redis) -> None:
        self._client, self._scripts = client, store_scripts(client)

    def begin(self, reason: str) -> Drain:
        """Begin a drain, unless one is on; return the one that is on. Raises WrongKey."""
        told = {"id": secrets.token_hex(8), "reason": redactor.text(" ".join(reason.split())[:MAX_REASON])}
        found: bytes = self._scripts.run(ScriptCall("drain", keys.DRAIN, (json.dumps(told),)))
        return read_drain(found)

    def end(self) -> bool:
        """End the drain. Returns whether there was one."""
        return bool(self._scripts.run(ScriptCall("undrain", keys.DRAIN, ())))

    def read(self) -> Drain | None:
        """Return the drain that is on. A key of another type is none; a value of another form is one."""
        with store_errors():
            try:
                found: Any = self._client.get(keys.DRAIN)
            except ResponseError as error:
                if "WRONGTYPE" in str(error):
                    return None
                raise
        return read_drain(found) if isinstance(found, bytes) else None


class Left(NamedTuple):
    """What Redis still holds: jobs in hand, events for the results queue, webhook deliveries, and jobs that wait."""

    in_hand: int
    events: int
    webhooks: int
    waiting: int


def left(client: redis.Redis) -> Left:
    """Count it, in one round trip. A key of another type counts as empty. Raises StoreUnavailable."""
    prefixes = keys.prefixes()
    with store_errors(), client.pipeline(transaction=False) as pipeline:
        for prefix in prefixes:
            pipeline.zcard(f"{prefix}leases")
            pipeline.llen(f"{prefix}outbox")
            pipeline.hgetall(f"{prefix}pending")
            pipeline.zcard(f"{prefix}expiry")
        found = [_counted(reply) for reply in pipeline.execute(raise_on_error=False)]
    return Left(*(sum(found[kind :: len(Left._fields)]) for kind in range(len(Left._fields))))


def _counted(reply: Any) -> int:
    if isinstance(reply, Exception):
        if str(reply).startswith("WRONGTYPE"):
            return 0
        raise reply
    return sum(map(int, reply.values())) if isinstance(reply, dict) else int(reply)


def read_drain(stored: bytes) -> Drain:
    """Read what the key holds. Somebody may have set it by hand, and means a drain too."""
    told: Any = None
    with suppress(ValueError):
        told = json.loads(stored)
    if not isinstance(told, Mapping):
        return Drain(stored.decode(errors="replace")[:MAX_REASON] or "drain")
    since = told.get("since_ms")
    return Drain(
        str(told.get("id") or "drain"), str(told.get("reason", "")), since if isinstance(since, int) else 0
    )
