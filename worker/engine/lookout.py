"""Looks for work on behalf of the loops, so that in quiet times they need not ask the store themselves."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from worker.core.sight import Sight

LOOK_SECONDS = 0.25
"""The pause between two looks. Other workers bring work too, and do not tell."""

QUIET_SECONDS = 0.4
"""The pause after a look that found nothing that waits for anything."""

REST_SECONDS = 10.0
"""How long a loop rests that the lookout wakes in time: it asks by itself then, in case that the lookout is stuck."""


OLD_SECONDS = 1.0
"""What a look has found counts for so long. A worker that stops looks no more."""


class Look(Protocol):
    """Asks the store once. Raises StoreUnavailable."""

    def __call__(self) -> Sight: ...


class Lookout:
    """One turn looks once, and wakes the loops that may have something to do before the next look.

    The sweeper, which knows no moments, is woken when a job is overdue. One thread takes the turns; any thread may ask
    for `events` or call `recorded`.
    """

    def __init__(
        self,
        look: Look,
        releaser: Callable[[], None],
        sweeper: Callable[[], None],
        couriers: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`releaser`, `sweeper` and `couriers` wake these loops. They must not raise."""
        self._look, self._releaser, self._sweeper, self._couriers = look, releaser, sweeper, couriers
        self._clock, self._recorded = clock, 0
        self._none: tuple[int, float] | None = None

    def turn(self) -> float:
        """Look once; return the seconds until the next turn. Raises StoreUnavailable."""
        before, self._none = (self._recorded, self._clock()), None
        seen = self._look()
        if not seen.events:
            self._none = before
        if seen.lanes <= LOOK_SECONDS:
            self._releaser()
        if seen.overdue <= 0:
            self._sweeper()
        if seen.deliveries <= LOOK_SECONDS:
            self._couriers()
        return LOOK_SECONDS if seen.something else QUIET_SECONDS

    def recorded(self) -> None:
        """Take note that this worker has put an event on record: the last look does not count any more."""
        self._recorded += 1

    @property
    def events(self) -> bool:
        """Whether events may wait for the results queue. False only if a look found none, a moment ago."""
        if self._none is None:
            return True
        recorded, looked = self._none
        return recorded != self._recorded or self._clock() - looked > OLD_SECONDS
