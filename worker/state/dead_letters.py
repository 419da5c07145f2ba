"""Keeps dead letters: messages that no event can answer, each with the reason."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from string import ascii_lowercase
from typing import Any

import redis
import structlog

from worker.core.ports import Whole
from worker.core.records import Source
from worker.errors import WrongKey
from worker.privacy.harmless import harmless, harmless_id
from worker.privacy.scrubbing import scrub
from worker.redisio.texts import ScriptCall
from worker.redisio.translation import store_errors
from worker.state import keys
from worker.state.lua import store_scripts

log = structlog.get_logger(__name__)

MAX_KEEP = 100_000
MAX_KEEP_BYTES = 64 * 1024 * 1024
MAX_CONTENT_BYTES = 8192
"""Most bytes of a letter's content, as JSON. Of a larger content only size and digest are kept."""

_KEYS = (keys.DEAD, keys.DEAD_BYTES)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was put aside. `at` is in Unix seconds.

    `content` is the job's fields if they could be read, else a text, see `harmless`; or None if it could not be kept.
    `size` is the size of the message in bytes, or 0 if only its fields were available. `sha256` identifies a message of
    which nothing else is kept; it is left empty beside a job's fields, because it would allow finding the PIN by trying
    all of them. `job_id` is the id under which the job came, if its fields contain none and the id is harmless.
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
    """A list of dead letters in Redis, newest first. Implements `ports.DeadLetters`. Thread-safe.

    No PIN, phone number or secret is written. Each letter has at most `MAX_CONTENT_BYTES` of content.
    """

    def __init__(
        self, client: redis.Redis, *, max_keep: int = MAX_KEEP, max_keep_bytes: int = MAX_KEEP_BYTES
    ) -> None:
        """Remove the oldest letters when there are more than `max_keep`, or more than `max_keep_bytes` together."""
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
        """See ports.DeadLetters. Takes one round trip. Raises StoreUnavailable.

        Never fails because of the content: if it cannot be kept, its size and digest are. If the list's key has another
        type, only the log line is kept.
        """
        letter = replace(_letter(reason, source, content, whole), job_id=harmless_id(job_id))
        facts = {"letter": letter.id, "source": letter.source, "reason": letter.reason, "size": letter.size}
        facts |= {"job_id": letter.job_id} if letter.job_id else {}
        text = json.dumps(asdict(letter))
        try:
            self._scripts.run(ScriptCall("bury", _KEYS, (text, self._max_keep, self._max_keep_bytes)))
        except WrongKey:
            log.error("message.dead_and_not_kept", redis_key=keys.DEAD, **facts)
        else:
            log.warning("message.dead", **facts)

    def count(self) -> int:
        """Return how many letters there are. Raises StoreUnavailable."""
        with store_errors():
            letters: Any = self._client.llen(keys.DEAD)
        return int(letters)

    def newest(self, most: int) -> list[DeadLetter]:
        """Return the newest `most` letters. Raises StoreUnavailable."""
        with store_errors():
            rows: Any = self._client.lrange(keys.DEAD, 0, most - 1)
        return [_read(row) for row in rows]

    def find(self, letter_id: str) -> DeadLetter | None:
        """Return the letter with that id, or None. Reads the whole list. Raises StoreUnavailable."""
        return next((letter for letter in self.newest(self._max_keep) if letter.id == letter_id), None)

    def drop(self, letter_id: str) -> bool:
        """Remove a letter; False if there is none with that id. Reads the whole list. Raises StoreUnavailable."""
        with store_errors():
            rows: Any = self._client.lrange(keys.DEAD, 0, -1)
        row = next((row for row in rows if json.loads(row)["id"] == letter_id), None)
        return row is not None and bool(self._scripts.run(ScriptCall("drop_letter", _KEYS, (row,))))


def _new_id() -> str:
    """Return eight random letters. Digits might be taken for a phone number, and masked, where the id is told."""
    return "".join(secrets.choice(ascii_lowercase) for _ in range(8))


def _letter(
    reason: str, source: Source, content: Mapping[str, Any] | bytes, whole: Whole | None
) -> DeadLetter:
    head = (_new_id(), time.time(), str(source), scrub(reason))
    if whole is not None and not content:
        return DeadLetter(*head, content=None, size=whole.size, sha256=whole.sha256)
    size = whole.size if whole else len(content) if isinstance(content, bytes) else 0
    # An error in the content, such as a loop or a lack of memory, must not bring the message back again and again.
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
    """Read a letter. Ignores fields that only another version knows."""
    return DeadLetter(**{name: value for name, value in json.loads(row).items() if name in _NAMES})
