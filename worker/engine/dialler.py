"""`CONCURRENCY` calls in flight, all in the dial thread, and never a leased job without a place among them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from worker.engine.greenlets import Greenlets
from worker.logs import job_context
from worker.loops import Faults
from worker.ports import Lease

STARTING_MOST = 32
"""Calls at a time on their way from the lease to the network. Python runs one thread at a time: were there more, the
last would come later than its slot is valid."""

_LOOK_SECONDS = 0.1


class Dial(Protocol):
    """Places a leased job's call; calls `started` once it waits for the network or for its slot, perhaps repeatedly."""

    def __call__(self, lease: Lease, started: Callable[[], None], /) -> None: ...


class Dialler:
    """A pool of threads with a count of those that are free.

    Whoever leases a job reserves a thread first; a lease is not worth taking without one, for its slot would pass.
    `freed` is called when a thread can be had again after `reserve` gave none.
    """

    def __init__(self, threads: int, dial: Dial, faults: Faults) -> None:
        self._dial, self._faults = dial, faults
        self._free, self._threads = threads, threads
        self._starting, self._short = 0, False
        self._changed = threading.Condition()
        self.thread = Greenlets("dial")
        self.paused = False
        self.freed: Callable[[], None] = lambda: None

    def reserve(self, most: int) -> int:
        """Take up to `most` free threads, none while paused; how many were had."""
        with self._changed:
            taken = 0 if self.paused else min(most, self._room)
            self._free -= taken
            self._starting += taken
            self._short = self._short or taken == 0
            return taken

    def give_back(self, count: int) -> None:
        """Reserved threads that are not needed after all."""
        self._count(threads=count, started=count)

    def submit(self, lease: Lease) -> None:
        """Dial on a thread that was reserved; the thread is given back afterwards."""
        self.thread.submit(partial(self._run, lease))

    def drain(self, timeout_seconds: float, hurry: threading.Event) -> bool:
        """Wait until no call is in flight; False if some still are after the time, or when `hurry` is set."""
        ends = time.monotonic() + timeout_seconds
        with self._changed:
            while self._free < self._threads and time.monotonic() < ends and not hurry.is_set():
                self._changed.wait(_LOOK_SECONDS)
            return self._free >= self._threads

    def _run(self, lease: Lease) -> None:
        start = _Start(self._started)
        with job_context(lease.job.id, lease.job.account, lease.tally.sent + 1):
            try:
                self._dial(lease, start.over)
            except Exception as error:  # the lease runs out and another worker decides
                self._faults.loop_failed("dial", error)
            finally:
                start.over()
                self._count(threads=1)

    @property
    def _room(self) -> int:
        return min(self._free, STARTING_MOST - self._starting)

    def _started(self) -> None:
        self._count(started=1)

    def _count(self, *, threads: int = 0, started: int = 0) -> None:
        with self._changed:
            self._free += threads
            self._starting -= started
            wanted = self._short and (not self._starting or self._room >= STARTING_MOST // 2)
            self._short = self._short and not wanted
            if threads:
                self._changed.notify_all()
        if wanted:
            self.freed()


class _Start:
    """The way of one call to the network, which ends once."""

    def __init__(self, over: Callable[[], None]) -> None:
        self._over, self._under_way = over, True

    def over(self) -> None:
        if self._under_way:
            self._under_way = False
            self._over()
