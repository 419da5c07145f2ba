"""Reads of servers for a page, each in a thread of its own, so that a server which hangs delays no page for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

import structlog

from worker.errors import BrokerUnavailable, StoreUnavailable, WrongKey

ANSWER_SECONDS = 1.5
"""The longest wait of a page for the answers of all servers together."""

KEPT_TIMES, MOST_SECONDS = 20, 10.0
"""An answer is kept for so many times as long as it took, but not for longer than that."""

Answer = TypeVar("Answer")

log = structlog.get_logger(__name__)


class Question(Generic[Answer]):
    """Something to ask a server. It is asked once at a time, for all who wait. Thread-safe."""

    def __init__(
        self,
        ask: Callable[[], Answer],
        kept_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`kept_seconds`: how long an answer is given again without asking.

        An answer that took long is kept for longer, so that asking takes a twentieth of the time, up to `MOST_SECONDS`.
        That needs a `kept_seconds`.
        """
        self._ask, self._kept_seconds, self._clock = ask, kept_seconds, clock
        self._lock = threading.Lock()
        self._answer: Future[Answer] | None = None
        self._until = float("-inf")

    def begin(self) -> Future[Answer]:
        """Return the kept answer, the one under way, or a new one. Its `result` raises what `ask` raises."""
        with self._lock:
            if self._answer is None or (self._answer.done() and self._clock() >= self._until):
                self._answer = Future()
                threading.Thread(target=self._run, args=(self._answer,), name="question", daemon=True).start()
            return self._answer

    def _run(self, answer: Future[Answer]) -> None:
        began = self._clock()
        try:
            found = self._ask()
        except Exception as error:
            self._until = self._clock() + self._kept_seconds
            answer.set_exception(error)
        else:
            self._until = self._clock() + self._keep_seconds(found, self._clock() - began)
            answer.set_result(found)

    def _keep_seconds(self, found: Answer, took_seconds: float) -> float:
        """Return how long to keep an answer. None says that there is none, which may change soon."""
        if found is None or not self._kept_seconds:
            return self._kept_seconds
        return max(self._kept_seconds, min(took_seconds * KEPT_TIMES, MOST_SECONDS))


class Patience:
    """How long one page waits for all its answers together."""

    def __init__(self, seconds: float | None = None) -> None:
        """`seconds` is `ANSWER_SECONDS` by default."""
        self._ends = time.monotonic() + (ANSWER_SECONDS if seconds is None else seconds)

    def result(self, answer: Future[Answer]) -> Answer:
        """Return the answer, or raise what asking raised. Raises TimeoutError if there is none by the end."""
        return answer.result(max(self._ends - time.monotonic(), 0.0))

    def known(self, answer: Future[Answer | None]) -> Answer | None:
        """Return the answer, or None if there is none by the end."""
        try:
            return self.result(answer)
        except TimeoutError:
            return None


def reading(source: str, read: Callable[[], Answer]) -> Callable[[], Answer | None]:
    """Return `read` with None for a failure: a scrape that fails altogether would hide all other metrics too."""

    def ask() -> Answer | None:
        try:
            return read()
        except (StoreUnavailable, BrokerUnavailable, WrongKey):
            return None
        except Exception:
            log.exception("metrics.read_failed", source=source)
            return None

    return ask
