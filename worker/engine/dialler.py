"""The dial threads: `CONCURRENCY` calls in flight, and never a leased job without a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

from worker.engine.pool import Pool
from worker.logs import job_context
from worker.loops import Faults
from worker.ports import Lease

_LOOK_SECONDS = 0.1


class Dialler:
    """A pool of threads with a count of those that are free.

    Whoever leases a job reserves a thread first; a lease is not worth taking without one, for its slot would pass.
    `freed` is called each time a thread is given back.
    """

    def __init__(self, threads: int, dial: Callable[[Lease], None], faults: Faults) -> None:
        self._dial, self._faults = dial, faults
        self._free, self._threads = threads, threads
        self._changed = threading.Condition()
        self._pool = Pool(threads, "dial")
        self.paused = False
        self.freed: Callable[[], None] = lambda: None

    def reserve(self, most: int) -> int:
        """Take up to `most` free threads, none while paused; how many were had."""
        with self._changed:
            taken = 0 if self.paused else min(most, self._free)
            self._free -= taken
            return taken

    def give_back(self, count: int) -> None:
        """Reserved threads that are not needed after all, or are done."""
        if count:
            with self._changed:
                self._free += count
                self._changed.notify_all()
            self.freed()

    def submit(self, lease: Lease) -> None:
        """Dial on a thread that was reserved; the thread is given back afterwards."""
        self._pool.submit(partial(self._run, lease))

    def drain(self, timeout_seconds: float, hurry: threading.Event) -> bool:
        """Wait until no call is in flight; False if some still are after the time, or when `hurry` is set."""
        ends = time.monotonic() + timeout_seconds
        with self._changed:
            while self._free < self._threads and time.monotonic() < ends and not hurry.is_set():
                self._changed.wait(_LOOK_SECONDS)
            return self._free >= self._threads

    def _run(self, lease: Lease) -> None:
        with job_context(lease.job.id, lease.job.account, lease.tally.sent + 1):
            try:
                self._dial(lease)
            except Exception as error:  # the lease runs out and another worker decides
                self._faults.loop_failed("dial", error)
            finally:
                self.give_back(1)
