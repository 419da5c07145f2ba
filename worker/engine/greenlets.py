"""Many calls in one thread: each in a greenlet of its own, which gives way to the others where it waits."""

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
    """A daemon thread with an event loop; what is submitted, from any thread, begins in turn and must not raise.

    Nothing that runs here may keep the thread waiting, or all wait with it: the waits of `GivingWay` and of
    `http/waiting.py` do not. No library is monkey-patched.
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
        """Run `run`; the thread is started with the first."""
        self._waiting.append(run)
        if self._thread is None:
            self._start_once()
        if self._alarm is not None:
            self._alarm.send()

    @property
    def stalled(self) -> bool:
        """True where the thread died, or something has kept it from its other work for a minute."""
        if self._thread is None:
            return False
        return not self._thread.is_alive() or self._clock() - self._last_beat > STALLED_AFTER_SECONDS

    @property
    def trouble(self) -> str | None:
        """What an operator should know."""
        return f"{self.name} stalled" if self.stalled else None

    @property
    def where(self) -> str:
        """What the thread is doing."""
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
        # What was submitted before there was an alarm to be heard.
        self._begin_all()
        while True:
            self._last_beat = self._clock()
            gevent.sleep(BEAT_SECONDS)

    def _begin_all(self) -> None:
        while self._waiting:
            gevent.spawn_raw(self._waiting.popleft())


def _tell_failure(_context: object, *failure: Any) -> None:
    """In place of gevent's own words on standard error, which nobody has redacted."""
    log.error("greenlet.failed", exc_info=failure)


class GivingWay:
    """The port `Waits` for calls that run in `Greenlets`."""

    def __init__(self, threads: int = ASIDE_THREADS) -> None:
        self._threads, self._own = threads, threading.local()

    def sleep(self, seconds: float) -> None:
        """Never wakes early: the event loop's clock is a little behind."""
        ends = time.monotonic() + seconds
        while (left_seconds := ends - time.monotonic()) > 0:
            gevent.sleep(left_seconds)

    def aside(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises, done in a thread of its own."""
        if not hasattr(self._own, "pool"):
            # Belongs to the event loop of this thread.
            self._own.pool = ThreadPool(self._threads)
        done: Future[T] = Future()
        self._own.pool.apply(partial(_fulfil, done, work))
        return done.result()


def _fulfil(done: Future[T], work: Callable[[], T]) -> None:
    """The pool itself would print what `work` raises."""
    try:
        done.set_result(work())
    except BaseException as error:
        done.set_exception(error)
