"""Extends the leases of the jobs that this process has in hand, so that no other worker takes them for lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from worker.core.ports import Ledger
from worker.core.records import Lease

EXTEND_SECONDS = 3.0
"""How often the leases are extended."""

YOUNG_SECONDS = 5.0
"""A lease is extended from this age on. Most calls are over by then, and cost nothing. The rest of the lease, less one
turn, is the time that its holder has to report once Redis is back: more than a loop's longest pause, a connection and
an answer take."""

MAX_EXTENDED_SECONDS = 600.0
"""A call that takes longer is stuck: its lease is left to run out, so that another worker decides about its job."""


@dataclass(slots=True)
class _Held:
    lease: Lease
    since: float
    decided: bool
    times_taken: int = 1


class LeasesInHand:
    """The leases that a process has in hand, and since when. Thread-safe.

    A lease is taken by its call and then by the recorder, and must be let go as often as it was taken. One that is
    `decided` is extended however long its decision has to wait, because only this process knows the call's outcome.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._held: dict[tuple[str, int], _Held] = {}

    def take(self, lease: Lease, *, decided: bool = False) -> None:
        key = (lease.job.id, lease.fence)
        with self._lock:
            if held := self._held.get(key):
                held.times_taken += 1
                held.decided = held.decided or decided
            else:
                self._held[key] = _Held(lease, self._clock(), decided)

    def let_go(self, lease: Lease) -> None:
        key = (lease.job.id, lease.fence)
        with self._lock:
            held = self._held.get(key)
            if held is None:
                return
            held.times_taken -= 1
            if not held.times_taken:
                del self._held[key]

    def to_extend(self) -> list[Lease]:
        """Return the leases to extend: those in hand for a while, but not for too long."""
        now = self._clock()
        with self._lock:
            held = list(self._held.values())
        return [one.lease for one in held if _to_extend(one, now - one.since)]


class Keeper:
    """One turn extends the leases in hand."""

    def __init__(self, ledger: Ledger, in_hand: LeasesInHand) -> None:
        self._ledger, self._in_hand = ledger, in_hand

    def turn(self) -> float:
        """Extend the leases; return the seconds until the next turn. Raises StoreUnavailable."""
        if leases := self._in_hand.to_extend():
            self._ledger.extend(leases)
        return EXTEND_SECONDS


def _to_extend(held: _Held, seconds: float) -> bool:
    return seconds >= YOUNG_SECONDS and (held.decided or seconds < MAX_EXTENDED_SECONDS)
