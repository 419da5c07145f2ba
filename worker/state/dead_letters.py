"""The dead letters: what came in and cannot be answered by an event, with the reason."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import redis
import structlog

from worker.ports import Source
from worker.redaction import redactor
from worker.state import keys
from worker.state.scripts import translated
from worker.written import wait_for_file

log = structlog.get_logger(__name__)

KEEP_MOST = 100_000
CONTENT_MOST = 8192

_DIGITS = re.compile(r"[0-9]{3,}")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """`at` is Unix seconds. `content` holds the job's fields where they could be read, else the text as it came."""

    id: str
    at: float
    source: str
    reason: str
    content: Any


class RedisDeadLetters:
    """A list in Redis, newest first, of dead letters as JSON objects.

    PIN, number and secrets are redacted before anything is written. In text that cannot be read as JSON nobody can tell
    which digits are a PIN, so all runs of three or more are starred; of what is not text only the size is kept. The
    oldest letters go when there are more than `KEEP_MOST`.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def bury(self, reason: str, source: Source, content: Mapping[str, Any] | bytes) -> None:
        """See ports.DeadLetters."""
        letter = DeadLetter(secrets.token_hex(4), time.time(), source, reason, _redacted(content))
        with translated(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.lpush(keys.DEAD, json.dumps(asdict(letter), default=repr))
            pipeline.ltrim(keys.DEAD, 0, KEEP_MOST - 1)
            pipeline.execute()
            wait_for_file(self._client)
        log.warning("message.dead", letter=letter.id, source=letter.source, reason=letter.reason)

    def newest(self, most: int) -> list[DeadLetter]:
        """The newest `most`. Raises StoreUnavailable."""
        with translated():
            rows: Any = self._client.lrange(keys.DEAD, 0, most - 1)
        return [DeadLetter(**json.loads(row)) for row in rows]

    def find(self, letter_id: str) -> DeadLetter | None:
        """The letter of that id, if it is there. Raises StoreUnavailable."""
        return next((letter for letter in self.newest(KEEP_MOST) if letter.id == letter_id), None)

    def drop(self, letter_id: str) -> bool:
        """Take a letter off the list; False if there is none of that id. Raises StoreUnavailable."""
        with translated():
            rows: Any = self._client.lrange(keys.DEAD, 0, -1)
            row = next((row for row in rows if json.loads(row)["id"] == letter_id), None)
            return row is not None and bool(self._client.lrem(keys.DEAD, 1, row))


def _redacted(content: Mapping[str, Any] | bytes) -> Any:
    if not isinstance(content, bytes):
        return redactor.field("content", dict(content))
    try:
        return redactor.field("content", _fields(json.loads(content)))
    except UnicodeDecodeError:
        return f"[binary, {len(content)} bytes]"
    except (ValueError, RecursionError):
        text = _DIGITS.sub(lambda run: "*" * len(run[0]), content.decode("utf-8", "replace"))
        return redactor.text(text[:CONTENT_MOST])


def _fields(document: Any) -> Any:
    """A Celery message's keyword arguments; of positional ones only how many, for they have no names to tell a PIN."""
    match document:
        case [list() as args, dict() as kwargs, *_]:
            return {**kwargs, **({"positional": len(args)} if args else {})}
        case {"task": task, "kwargs": dict() as kwargs}:
            return {"task": task, **kwargs}
        case dict():
            return document
        case _:
            return _DIGITS.sub("***", json.dumps(document))[:CONTENT_MOST]
