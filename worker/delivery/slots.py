"""Lets a webhook's request out within the slot that its endpoint's rate gave it."""

from __future__ import annotations

import time
from collections.abc import Callable

from worker.core.ports import Waits
from worker.core.records import Slot
from worker.errors import SlotLapsed


class SlotGate:
    """The `Gate` of one request. `clock` is that of the slot, monotonic seconds."""

    def __init__(self, slot: Slot, waits: Waits, clock: Callable[[], float] = time.monotonic) -> None:
        self._slot, self._waits, self._clock = slot, waits, clock

    def connecting(self) -> None:
        """See `Gate`. A delivery has its place already, so nobody needs to know."""

    def opens(self) -> float:
        """Wait for the slot; return the moment after which the request must not begin. Raises SlotLapsed."""
        wait_seconds = self._slot.opens - self._clock()
        if wait_seconds > 0:
            self._waits.sleep(wait_seconds)
        if self._clock() > self._slot.closes:
            raise SlotLapsed
        return self._slot.closes
