"""Says which jobs this process has in hand, so that no other worker takes them for lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from worker.core.ports import Ledger
from worker.core.records import Lease

KEEP_SECONDS = 3.0

YOUNG_SECONDS = 5.0
"""A lease is kept from this age on; most calls are over by then, and cost nothing. What it lasts beyond this and a
turn is the time that its holder has for its word once Redis is back: more than a loop's longest pause, a connection
and an answer take."""

MAX_KEPT_SECONDS = 600.0
"""A call that takes longer is stuck, and another worker shall decide about its job."""


@dataclass(slots=True)
class _Held:
    lease: Lease
    since: float
    decided: bool
    grips: int = 1


class Hands:
    """The leases that a process has in hand, since when. Thread-safe.

    A job may be taken more than once, as it is by its call and then by the recorder, and is let go as often. One that
    is `decided` is kept however long its decision has to wait: what a call came to is known to this process alone.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._held: dict[tuple[str, int], _Held] = {}

    def take(self, lease: Lease, *, decided: bool = False) -> None:
        key = (lease.job.id, lease.fence)
        with self._lock:
            if held := self._held.get(key):
                held.grips += 1
                held.decided = held.decided or decided
            else:
                self._held[key] = _Held(lease, self._clock(), decided)

    def let_go(self, lease: Lease) -> None:
        key = (lease.job.id, lease.fence)
        with self._lock:
            held = self._held.get(key)
            if held is None:
                return
            held.grips -= 1
            if not held.grips:
                del self._held[key]

    def to_keep(self) -> list[Lease]:
        """What has been in hand for a while, and not for too long."""
        now = self._clock()
        with self._lock:
            held = list(self._held.values())
        return [one.lease for one in held if _to_keep(one, now - one.since)]


class Keeper:
    """One turn keeps the leases of what is in `hands`."""

    def __init__(self, ledger: Ledger, hands: Hands) -> None:
        self._ledger, self._hands = ledger, hands

    def turn(self) -> float:
        """Seconds until the next turn. Raises StoreUnavailable."""
        if leases := self._hands.to_keep():
            self._ledger.keep(leases)
        return KEEP_SECONDS


def _to_keep(held: _Held, seconds: float) -> bool:
    return seconds >= YOUNG_SECONDS and (held.decided or seconds < MAX_KEPT_SECONDS)
