"""The dead letters: what came in and cannot be answered by an event, with the reason."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import redis

from worker.ports import Source
from worker.redaction import redactor
from worker.state import keys
from worker.state.scripts import translated

KEEP_MOST = 100_000


class RedisDeadLetters:
    """A list in Redis, newest first, of JSON objects `{"at", "source", "reason", "content"}`.

    PIN, number and secrets are redacted before anything is written. The oldest go when there are more than
    `KEEP_MOST`.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def bury(self, reason: str, source: Source, content: Mapping[str, Any] | bytes) -> None:
        """See ports.DeadLetters."""
        letter = {"at": time.time(), "source": source, "reason": reason, "content": _redacted(content)}
        with translated(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.lpush(keys.DEAD, json.dumps(letter, default=repr))
            pipeline.ltrim(keys.DEAD, 0, KEEP_MOST - 1)
            pipeline.execute()


def _redacted(content: Mapping[str, Any] | bytes) -> Any:
    readable = content.decode("utf-8", "backslashreplace") if isinstance(content, bytes) else dict(content)
    return redactor.field("content", readable)
