"""Reports keys of this program that have another type than they should: once each, by name."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

import structlog

from worker.errors import WrongKey

QUIET_SECONDS = 60.0
"""A key that was not found wrong for this long counts as repaired. If it is wrong again, it is reported again."""

_TOLD = re.compile(r"WRONGKEY (?P<key>\S+) (?P<holds>\S+)")
_IN_PIPELINE = re.compile(r"Command # \d+ \(\S+ (?P<key>\S+?)[ )].*WRONGTYPE", re.DOTALL)
"""The text with which redis-py names the command of a pipeline that got an error."""

ANOTHER = "value of another type"
"""What is reported if Redis does not say which type the key has."""

log = structlog.get_logger(__name__)


def wrong_key(error: Exception | bytes, key: str | None = None) -> WrongKey | None:
    """Return the WrongKey that an error, or a text beside a script's reply, stands for; None for any other.

    `key` is the key of the command, for errors that name none.
    """
    text = str(error, "utf-8", "replace") if isinstance(error, bytes) else str(error)
    if found := _TOLD.search(text) or _IN_PIPELINE.search(text):
        return WrongKey(found["key"], found.groupdict().get("holds", ANOTHER))
    return WrongKey(key, ANOTHER) if key and "WRONGTYPE" in text else None


class WrongKeys:
    """Logs wrong keys. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._met: dict[str, float] = {}

    def tell(self, error: WrongKey) -> None:
        """Log the key, unless this error was logged before or the key was found wrong within `QUIET_SECONDS`."""
        if error.told:
            return
        error.told, now = True, self._clock()
        with self._lock:
            last = self._met.get(error.key)
            self._met[error.key] = now
        if last is None or now - last > QUIET_SECONDS:
            log.error("key.wrong_type", redis_key=error.key, holds=error.holds)
