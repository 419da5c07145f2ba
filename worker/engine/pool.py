"""Threads that run what is submitted, and do not hold up the end of the process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from worker.telemetry.threads import show_name


class Pool:
    """At most `most` daemon threads, each started when all others are busy.

    `concurrent.futures` would wait for its threads when the interpreter ends; a call that outlives the grace of a
    shutdown must not. What is submitted must not raise.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = threading.Lock()
        self._unfinished = 0
        self._started = 0

    @property
    def free(self) -> int:
        """How many more could run at once now."""
        with self._lock:
            return max(self._most - self._unfinished, 0)

    def submit(self, run: Callable[[], None]) -> None:
        with self._lock:
            self._unfinished += 1
            if self._started < min(self._unfinished, self._most):
                self._started += 1
                thread = threading.Thread(target=self._run, name=f"{self._name}-{self._started}", daemon=True)
                thread.start()
        self._work.put(run)

    def _run(self) -> None:
        show_name(self._name)
        while True:
            self._work.get()()
            with self._lock:
                self._unfinished -= 1
