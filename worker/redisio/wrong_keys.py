"""Keys of ours that hold what is not ours: told once, by name, however often a script meets one."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

import structlog

from worker.errors import WrongKey

QUIET_SECONDS = 60.0
"""A key that nobody has met for so long was put right; if it is wrong again, that is told again."""

_TOLD = re.compile(r"WRONGKEY (?P<key>\S+) (?P<holds>\S+)")
_IN_PIPELINE = re.compile(r"Command # \d+ \(\S+ (?P<key>\S+?)[ )].*WRONGTYPE", re.DOTALL)
"""How redis-py names the command of a pipeline that was answered with an error."""

ANOTHER = "value of another type"

log = structlog.get_logger(__name__)


def wrong_key(problem: Exception | bytes, key: str | None = None) -> WrongKey | None:
    """The error that a script of ours, Redis or redis-py means by its error reply or word, if it is this one.

    `key`: the one that is meant where the words name none.
    """
    text = str(problem, "utf-8", "replace") if isinstance(problem, bytes) else str(problem)
    if found := _TOLD.search(text) or _IN_PIPELINE.search(text):
        return WrongKey(found["key"], found.groupdict().get("holds", ANOTHER))
    return WrongKey(key, ANOTHER) if key and "WRONGTYPE" in text else None


class WrongKeys:
    """Writes the log line. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._met: dict[str, float] = {}

    def tell(self, problem: WrongKey) -> None:
        if problem.told:
            return
        problem.told, now = True, self._clock()
        with self._lock:
            last = self._met.get(problem.key)
            self._met[problem.key] = now
        if last is None or now - last > QUIET_SECONDS:
            log.error("key.wrong_type", redis_key=problem.key, holds=problem.holds)
