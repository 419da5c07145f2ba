"""`CONCURRENCY` calls in flight, all in the dial thread, and never a leased job without a place among them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Protocol

from worker.core.records import Lease
from worker.engine.greenlets import Greenlets
from worker.engine.keeper import Hands
from worker.engine.loops import Faults
from worker.engine.parts import Grace, Part
from worker.telemetry.logs import job_context

MAX_STARTING = 64
"""Calls at a time on their way from the lease to the network. They go one after the other: were there more, the last
would come later than its slot is valid. Fewer would make small batches, each of which costs a turn of the releaser."""

GATHERED_PART = 32
"""Where all places were taken, waiting jobs are told once one in so many is free: each by itself would cost a turn of
the releaser. What is free for less is found by its next look, which is never far."""


class Dial(Protocol):
    """Places a leased job's call; calls `started` once it waits for the network or for its slot, perhaps repeatedly."""

    def __call__(self, lease: Lease, started: Callable[[], None], /) -> None: ...


class Dialler(Part):
    """The calls in flight, with a count of the places that are free. Thread-safe.

    Whoever leases a job reserves a place first; a lease is not worth taking without one, for its slot would pass. After
    `reserve` gave none, `freed` is called when there is room again for half a batch or, where no call is about to
    start, for a small part of all places. `begun` counts calls, nearly.
    """

    def __init__(
        self,
        places: int,
        dial: Dial,
        faults: Faults,
        hands: Hands | None = None,
        *,
        freed: Callable[[], None] = lambda: None,
    ) -> None:
        """`hands`: where a job is noted from `submit` until its call is over."""
        self._dial, self._faults, self._hands = dial, faults, hands or Hands()
        self._free, self._places = places, places
        self._enough = min(max(places // GATHERED_PART, 1), MAX_STARTING // 2)
        self._starting, self._short = 0, False
        self._lock = threading.Lock()
        self.thread = Greenlets("dial")
        self._paused, self._freed = False, freed
        self.begun = 0

    @property
    def in_flight(self) -> int:
        """Places that are taken."""
        return self._places - self._free

    def reserve(self, most: int) -> int:
        """Take up to `most` free places, none while paused; how many were had."""
        with self._lock:
            taken = 0 if self._paused else min(most, self._room)
            self._free -= taken
            self._starting += taken
            self._short = self._short or taken == 0
            return taken

    def give_back(self, count: int) -> None:
        """Reserved places that are not needed after all."""
        self._count(ended=count, started=count)

    def submit(self, lease: Lease) -> None:
        """Dial, in a place that was reserved; it is given back afterwards."""
        self.begun += 1
        self._hands.take(lease)
        self.thread.submit(partial(self._run, lease))

    def pause(self, on: bool) -> None:
        """Give no more places, or give them again."""
        self._paused = on

    def join(self, grace: Grace, /) -> None:
        """Wait until no call is in flight."""
        grace.wait(lambda: not self.in_flight)

    def _run(self, lease: Lease) -> None:
        start = _Start(self._started)
        with job_context(lease.job.id, lease.job.account, lease.tally.sent + 1):
            try:
                self._dial(lease, start.over)
            except Exception as error:  # the lease runs out and another worker decides
                self._faults.loop_failed("dial", error)
            finally:
                start.over()
                self._hands.let_go(lease)
                self._count(ended=1)

    @property
    def _room(self) -> int:
        return min(self._free, MAX_STARTING - self._starting)

    def _started(self) -> None:
        self._count(started=1)

    def _count(self, *, ended: int = 0, started: int = 0) -> None:
        with self._lock:
            self._free += ended
            self._starting -= started
            enough = MAX_STARTING // 2 if self._starting else self._enough
            wanted = self._short and self._room >= enough
            self._short = self._short and not wanted
        if wanted:
            self._freed()


class _Start:
    """The way of one call to the network, which ends once."""

    def __init__(self, over: Callable[[], None]) -> None:
        self._over, self._under_way = over, True

    def over(self) -> None:
        if self._under_way:
            self._under_way = False
            self._over()
