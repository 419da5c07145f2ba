"""The dead letters: what came in and cannot be answered by an event, with the reason."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import redis
import structlog

from worker.core.ports import Whole
from worker.core.records import Source
from worker.errors import WrongKey
from worker.privacy.harmless import harmless, harmless_id
from worker.privacy.scrubbing import scrub
from worker.redisio.runner import ScriptCall, store_errors
from worker.state import keys
from worker.state.lua import store_scripts

log = structlog.get_logger(__name__)

MAX_KEEP = 100_000
MAX_KEEP_BYTES = 64 * 1024 * 1024
MAX_CONTENT_BYTES = 8192

_KEYS = (keys.DEAD, keys.DEAD_BYTES)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """`at` is Unix seconds. `content` holds the job's fields where they could be read, else a text; see `harmless`.

    `size` is that of the message in bytes, 0 where only its fields were at hand. `sha256` tells which message it was
    where nothing else of it is kept. Beside a job's fields it would let a PIN be found by trying all of them.
    `job_id` is the id under which the job came where its fields name none, as far as it is harmless.
    """

    id: str
    at: float
    source: str
    reason: str
    content: Any
    size: int = 0
    sha256: str = ""
    job_id: str = ""


class RedisDeadLetters:
    """A list in Redis, newest first, of dead letters as JSON objects.

    Neither PIN nor number nor secret is written. The oldest letters go when there are more than `max_keep`, or when
    they are larger together than `max_keep_bytes`. Each has at most `MAX_CONTENT_BYTES` of content.
    """

    def __init__(
        self, client: redis.Redis, *, max_keep: int = MAX_KEEP, max_keep_bytes: int = MAX_KEEP_BYTES
    ) -> None:
        self._client, self._scripts = client, store_scripts(client)
        self._max_keep, self._max_keep_bytes = max_keep, max_keep_bytes

    def bury(
        self,
        reason: str,
        source: Source,
        content: Mapping[str, Any] | bytes,
        whole: Whole | None = None,
        job_id: str | None = None,
    ) -> None:
        """See ports.DeadLetters. No content makes it fail: of what cannot be kept, size and digest are.

        Where the list's key holds something else, the log line is all that is kept.
        """
        letter = replace(_letter(reason, source, content, whole), job_id=harmless_id(job_id))
        told = {"letter": letter.id, "source": letter.source, "reason": letter.reason, "size": letter.size}
        text = json.dumps(asdict(letter))
        try:
            self._scripts.run(ScriptCall("bury", _KEYS, (text, self._max_keep, self._max_keep_bytes)))
        except WrongKey:
            log.error("message.dead_and_not_kept", redis_key=keys.DEAD, **told)
        else:
            log.warning("message.dead", **told)

    def count(self) -> int:
        """Return how many letters there are. Raises StoreUnavailable."""
        with store_errors():
            letters: Any = self._client.llen(keys.DEAD)
        return int(letters)

    def newest(self, most: int) -> list[DeadLetter]:
        """The newest `most`. Raises StoreUnavailable."""
        with store_errors():
            rows: Any = self._client.lrange(keys.DEAD, 0, most - 1)
        return [_read(row) for row in rows]

    def find(self, letter_id: str) -> DeadLetter | None:
        """The letter of that id, if it is there. Raises StoreUnavailable."""
        return next((letter for letter in self.newest(self._max_keep) if letter.id == letter_id), None)

    def drop(self, letter_id: str) -> bool:
        """Take a letter off the list; False if there is none of that id. Raises StoreUnavailable."""
        with store_errors():
            rows: Any = self._client.lrange(keys.DEAD, 0, -1)
        row = next((row for row in rows if json.loads(row)["id"] == letter_id), None)
        return row is not None and bool(self._scripts.run(ScriptCall("drop_letter", _KEYS, (row,))))


def _letter(
    reason: str, source: Source, content: Mapping[str, Any] | bytes, whole: Whole | None
) -> DeadLetter:
    head = (secrets.token_hex(4), time.time(), str(source), scrub(reason))
    if whole is not None and not content:
        return DeadLetter(*head, content=None, size=whole.size, sha256=whole.sha256)
    size = whole.size if whole else len(content) if isinstance(content, bytes) else 0
    # Whatever is wrong with the content, a loop in it or a lack of memory, must not bring the message back for ever.
    with suppress(Exception):
        kept = harmless(content)
        if len(json.dumps(kept)) <= MAX_CONTENT_BYTES:
            return DeadLetter(*head, content=kept, size=size)
    digest = (
        whole.sha256 if whole else hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else ""
    )
    return DeadLetter(*head, content=None, size=size, sha256=digest)


_NAMES = frozenset(field.name for field in fields(DeadLetter))


def _read(row: bytes) -> DeadLetter:
    """A letter, which another version may have written."""
    return DeadLetter(**{name: value for name, value in json.loads(row).items() if name in _NAMES})
