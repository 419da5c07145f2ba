"""Many calls in one thread: each runs in its own greenlet and lets the others run while it waits."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

import gevent
import structlog
from gevent.threadpool import ThreadPool

from worker.engine.loops import STALLED_AFTER_SECONDS
from worker.telemetry.threads import show_name, whereabouts

BEAT_SECONDS = 1.0
ASIDE_THREADS = 8

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Greenlets:
    """A daemon thread with an event loop. Any thread may submit functions; they begin in order and must not raise.

    Nothing that runs here may block the thread, because all others would wait too. The waits of `GivingWay` and of
    `http/waiting.py` do not block it. No library is monkey-patched.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._clock = clock
        self._waiting: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._alarm: Any = None
        self._last_beat = clock()

    def submit(self, run: Callable[[], None]) -> None:
        """Run `run` in a greenlet. The first call starts the thread."""
        self._waiting.append(run)
        if self._thread is None:
            self._start_once()
        if self._alarm is not None:
            self._alarm.send()

    @property
    def stalled(self) -> bool:
        """Whether the thread died, or something has blocked it for a minute."""
        if self._thread is None:
            return False
        return not self._thread.is_alive() or self._clock() - self._last_beat > STALLED_AFTER_SECONDS

    @property
    def trouble(self) -> str | None:
        """What an operator should know about the thread, or None."""
        return f"{self.name} stalled" if self.stalled else None

    @property
    def where(self) -> str:
        """The places in the code where the thread is."""
        return whereabouts(self._thread)

    def _start_once(self) -> None:
        with self._lock:
            if self._thread is None:
                self._last_beat = self._clock()
                self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        show_name(self.name)
        hub: Any = gevent.get_hub()
        hub.print_exception = _tell_failure
        alarm = hub.loop.async_()
        alarm.start(self._begin_all)
        self._alarm = alarm
        # Functions that were submitted before the alarm existed have not rung it.
        self._begin_all()
        while True:
            self._last_beat = self._clock()
            gevent.sleep(BEAT_SECONDS)

    def _begin_all(self) -> None:
        while self._waiting:
            gevent.spawn_raw(self._waiting.popleft())


def _tell_failure(_context: object, *failure: Any) -> None:
    """Log an exception. gevent would print it to standard error, not redacted."""
    log.error("greenlet.failed", exc_info=failure)


class GivingWay:
    """The port `Waits` for calls that run in `Greenlets`."""

    def __init__(self, threads: int = ASIDE_THREADS) -> None:
        self._threads, self._own = threads, threading.local()

    def sleep(self, seconds: float) -> None:
        """Wait for at least `seconds`. The event loop may wake too early, because its clock is a little behind."""
        ends = time.monotonic() + seconds
        while (left_seconds := ends - time.monotonic()) > 0:
            gevent.sleep(left_seconds)

    def aside(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread of its own; return or raise what it does."""
        if not hasattr(self._own, "pool"):
            # A pool belongs to the event loop of one thread.
            self._own.pool = ThreadPool(self._threads)
        done: Future[T] = Future()
        self._own.pool.apply(partial(_fulfil, done, work))
        return done.result()


def _fulfil(done: Future[T], work: Callable[[], T]) -> None:
    """Run `work` and keep its result or exception. The pool would print an exception."""
    try:
        done.set_result(work())
    except BaseException as error:
        done.set_exception(error)
