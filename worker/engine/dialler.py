"""Runs up to `CONCURRENCY` calls in the dial thread, and reserves a place for each job before it is leased."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Protocol

from worker.core.records import Lease
from worker.engine.greenlets import Greenlets
from worker.engine.keeper import LeasesInHand
from worker.engine.loops import Faults
from worker.engine.parts import Grace, Part
from worker.telemetry.logs import job_context

MAX_STARTING = 64
"""The most calls between their lease and the network. They go one after the other: with more, the last one would miss
its slot. With fewer, batches would be small, and each batch costs a turn of the releaser."""

GATHERED_PART = 32
"""After all places were taken, the releaser is woken once one place in so many is free: waking it for each place would
cost a turn per call. Fewer free places are found at its next poll, at most 50 ms later."""


class Dial(Protocol):
    """Places a leased job's call. Calls `started` when the call waits for the network or its slot, perhaps often."""

    def __call__(self, lease: Lease, started: Callable[[], None], /) -> None: ...


class Dialler(Part):
    """The calls in flight, and the number of free places. Thread-safe.

    A place must be reserved before a job is leased: without one the job's slot would pass. After `reserve` gave none,
    `freed` is called when there is room for half of `MAX_STARTING` or, if no call is starting, for a small part of all
    places. `begun` counts calls; it is not exact, because no lock guards it.
    `paused` says whether dialling is paused, for whatever reason.
    """

    def __init__(
        self,
        places: int,
        dial: Dial,
        faults: Faults,
        in_hand: LeasesInHand | None = None,
        *,
        freed: Callable[[], None] = lambda: None,
    ) -> None:
        """`in_hand` notes each job from `submit` until its call is over."""
        self._dial, self._faults, self._in_hand = dial, faults, in_hand or LeasesInHand()
        self._free, self.places = places, places
        self._enough = min(max(places // GATHERED_PART, 1), MAX_STARTING // 2)
        self._starting, self._short, self._reserved = 0, False, 0
        self._lock = threading.Lock()
        self.thread = Greenlets("dial")
        self._pauses: frozenset[str] = frozenset()
        self._stopped, self._freed = False, freed
        self.begun = 0

    @property
    def in_flight(self) -> int:
        """The number of places that are taken, reserved ones among them."""
        return self.places - self._free

    @property
    def used(self) -> int:
        """The number of places that have a call. Many more are reserved for a moment whenever jobs are looked for."""
        return self.in_flight - self._reserved

    def reserve(self, most: int) -> int:
        """Take up to `most` free places, none while paused. Returns how many were taken."""
        with self._lock:
            taken = 0 if self.paused or self._stopped else min(most, self._room)
            self._free -= taken
            self._reserved += taken
            self._starting += taken
            self._short = self._short or taken == 0
            return taken

    def give_back(self, count: int) -> None:
        """Give back reserved places that are not needed."""
        self._count(ended=count, started=count, unreserved=count)

    def submit(self, lease: Lease) -> None:
        """Dial in a place that was reserved. The place is free again afterwards."""
        self.begun += 1
        with self._lock:
            self._reserved -= 1
        self._in_hand.take(lease)
        self.thread.submit(partial(self._run, lease))

    def pause(self, on: bool, why: str = "events") -> None:
        """Give no more places (`on`), or give them again if there is no pause for another reason."""
        with self._lock:
            self._pauses = self._pauses | {why} if on else self._pauses - {why}

    @property
    def paused(self) -> bool:
        return bool(self._pauses)

    def stop(self) -> None:
        """Give no more places; the calls that have one go on."""
        self._stopped = True

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
                self._in_hand.let_go(lease)
                self._count(ended=1)

    @property
    def _room(self) -> int:
        return min(self._free, MAX_STARTING - self._starting)

    def _started(self) -> None:
        self._count(started=1)

    def _count(self, *, ended: int = 0, started: int = 0, unreserved: int = 0) -> None:
        with self._lock:
            self._free += ended
            self._reserved -= unreserved
            self._starting -= started
            enough = MAX_STARTING // 2 if self._starting else self._enough
            wanted = self._short and self._room >= enough
            self._short = self._short and not wanted
        if wanted:
            self._freed()


class _Start:
    """The start of one call, which is over once, however often `over` is called."""

    def __init__(self, over: Callable[[], None]) -> None:
        self._over, self._under_way = over, True

    def over(self) -> None:
        if self._under_way:
            self._under_way = False
            self._over()
