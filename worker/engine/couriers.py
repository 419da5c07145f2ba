"""The webhook deliveries in flight: one thread asks the store, another one makes all requests."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import zip_longest
from typing import Protocol

from worker.delivery.ports import (
    Conclusion,
    Delivery,
    DeliveryStore,
    Destination,
    Effect,
    Health,
    Verdict,
)
from worker.engine.greenlets import Greenlets
from worker.engine.lines import Lines, returned
from worker.engine.lookout import LOOK_SECONDS, REST_SECONDS
from worker.engine.loops import Faults
from worker.engine.parts import Grace, Part
from worker.engine.places import Places
from worker.errors import StoreUnavailable

MAX_BATCH = 128
"""The most deliveries that are leased or concluded in one round trip, during which Redis does nothing else."""

LEAST_SECONDS = 0.005
"""The shortest pause between two looks at the store if nobody wakes the couriers."""

QUIET_SECONDS, GATHER_SECONDS = 0.0005, 0.005
"""Conclusions gather until none has come for the first of these, at most for the second: many cost little more than
one. If nothing is in flight any more, they do not gather, because the endpoints would wait."""

FAULT_PAUSE_SECONDS = 30.0
"""How long a delivery waits on which this program itself has failed."""

QUICK_SECONDS = 0.1
"""An endpoint that answers within this time gets more deliveries ahead."""

UNKNOWN_SECONDS = 60.0
"""How long no delivery is leased for an endpoint that this worker does not know, so that other workers get it."""

LATER_SECONDS = 0.25
"""The pause before conclusions are given again whose part of the store is away."""

RECORD_SECONDS = 1.0
"""The time for the last conclusions to get on record if the deliveries have used up the grace."""


class Deliver(Protocol):
    """Makes one attempt, in a greenlet, and returns how the lease is to end."""

    def __call__(self, delivery: Delivery, /) -> Conclusion: ...


class Tell(Protocol):
    """Is told of each conclusion that the store has answered. Must not raise."""

    def __call__(self, conclusion: Conclusion, effect: Effect, /) -> None: ...


class Couriers(Part):
    """The turn concludes what has ended and leases what may go. One thread calls `turn`.

    Only this process knows how an attempt ended, so a conclusion is kept until the store has answered. `woken` is
    called when an attempt has ended, so that a turn follows. `known` tells whether this worker knows an endpoint.
    """

    def __init__(
        self,
        deliver: Deliver,
        store: DeliveryStore,
        tell: Tell,
        faults: Faults,
        places: Places,
        *,
        known: Callable[[Destination], bool] = lambda _: False,
        woken: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`places` are for the deliveries in flight, and for those whose conclusion is not on record yet."""
        self._deliver, self._store, self._tell, self._faults = deliver, store, tell, faults
        self._places, self._known, self._woken, self._clock = places, known, woken, clock
        self._ended: queue.SimpleQueue[Conclusion] = queue.SimpleQueue()
        self._batch: list[Conclusion] = []
        self._later: list[Conclusion] = []
        self._again_at = 0.0
        self._unknown: dict[Destination, float] = {}
        self._gathering, self._enough, self._full = False, 0, threading.Event()
        self._stopped = False
        self._lines = Lines(self._attempt, self._end, clock)
        self.thread = Greenlets("webhook")

    @property
    def in_flight(self) -> int:
        return self._places.taken

    def turn(self) -> float:
        """Record what has ended and begin what may go; return the seconds until the next turn.

        Raises StoreUnavailable; what has ended is then kept for the next turn.
        """
        self._gather()
        if self._later and self._clock() >= self._again_at:
            self._batch, self._later = self._batch + self._later[:MAX_BATCH], self._later[MAX_BATCH:]
        quick = {one.delivery.destination for one in self._batch if _is_quick(one)}
        while self._batch:
            self._record(min(len(self._batch), MAX_BATCH))
        wait_seconds = self._begin(quick)
        return wait_seconds if self._ended.empty() else 0.0

    def stop(self) -> None:
        """Lease nothing more, and give back what has not begun. The attempts under way go on."""
        self._stopped = True
        self._woken()

    def join(self, grace: Grace, /) -> None:
        """Wait until nothing is in flight: at least for `RECORD_SECONDS`, even if the grace is over."""
        grace.wait(lambda: not self.in_flight, RECORD_SECONDS)

    def _gather(self) -> None:
        """Move what has ended to the batch, after a moment for what is about to end."""
        self._enough = min(self.in_flight, MAX_BATCH) - len(self._batch)
        ends, seen = time.monotonic() + GATHER_SECONDS, 0
        self._full.clear()
        self._gathering = True
        while seen < self._ended.qsize() < self._enough and time.monotonic() < ends:
            seen = self._ended.qsize()
            self._full.wait(QUIET_SECONDS)
        # What ends from here on wakes the loop, and what ended before is in the queue.
        self._gathering = False
        while len(self._batch) < MAX_BATCH and not self._ended.empty():
            self._batch.append(self._ended.get())

    def _record(self, count: int) -> None:
        """Record the first `count` of the batch, or each alone if that fails.

        One that fails alone is given up: its lease runs out, and it is attempted again.
        """
        some = self._batch[:count]
        effects: Sequence[Effect | StoreUnavailable] = ()
        try:
            effects = self._store.record(some)
        except StoreUnavailable:
            raise
        except Exception as error:  # one bad conclusion must not stop the others
            if count > 1:
                for _ in some:
                    self._record(1)
                return
            self._faults.loop_failed("couriers", error)
        del self._batch[:count]
        for conclusion, effect in zip_longest(some, effects):
            if isinstance(effect, StoreUnavailable):
                self._later.append(conclusion)
                self._again_at = self._clock() + LATER_SECONDS
                continue
            self._places.give_back([conclusion])
            if effect is not None:
                self._over(conclusion, effect)

    def _over(self, conclusion: Conclusion, effect: Effect) -> None:
        if conclusion.verdict is Verdict.UNKNOWN:
            self._unknown[conclusion.delivery.destination] = self._clock() + UNKNOWN_SECONDS
        self._tell(conclusion, effect)

    def _begin(self, quick: set[Destination]) -> float:
        """Lease what may go, and have it attempted. Returns the seconds until there may be more."""
        offered, barred = self._places.offer()
        most = min(offered, MAX_BATCH)
        if self._stopped or not most:
            return LOOK_SECONDS
        deliveries = self._store.take(most, barred.union(self._unknown_now()), quick - barred)
        self._places.take(deliveries)
        for delivery in deliveries:
            self.thread.submit(partial(self._lines.enter, delivery))
        if len(deliveries) == most:
            return 0.0
        due_seconds = self._store.due_seconds
        if due_seconds > LOOK_SECONDS:
            return LATER_SECONDS if self._later else REST_SECONDS
        return max(due_seconds, LEAST_SECONDS)

    def _unknown_now(self) -> Collection[Destination]:
        if self._unknown:
            now = self._clock()
            self._unknown = {
                where: until
                for where, until in self._unknown.items()
                if until > now and not self._known(where)
            }
        return self._unknown.keys()

    def _attempt(self, delivery: Delivery) -> Conclusion:
        try:
            return returned(delivery, "stopping") if self._stopped else self._deliver(delivery)
        except Exception as error:  # a fault of this program is no fault of the endpoint
            self._faults.loop_failed("webhook", error)
            return returned(delivery, "fault", FAULT_PAUSE_SECONDS)

    def _end(self, conclusion: Conclusion) -> None:
        self._ended.put(conclusion)
        if not self._gathering:
            self._woken()
        elif self._ended.qsize() >= self._enough:
            self._full.set()


def _is_quick(conclusion: Conclusion) -> bool:
    attempt = conclusion.attempt
    return conclusion.health is Health.GOOD and attempt is not None and attempt.seconds < QUICK_SECONDS
