"""Reports that this worker lives, and whether it is the one that serves what the metrics tell of all workers."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from worker.core.fleet import LOST_SECONDS, Report
from worker.errors import StoreFault, StoreUnavailable, WrongKey
from worker.network.causes import Cause, cause_of

BEAT_SECONDS = 1.0
"""The pause between two reports of the elected worker, of a new one, and of one that has something new to tell."""

SAME_SECONDS = 3.0
"""The pause between two equal reports of another one. It counts as alive for 10 s after each."""

ELECTED_SECONDS = 3.5
"""How long an election lasts. Two reports may fail; another worker takes over within this time and SAME_SECONDS."""

GOES_ON_SECONDS = 10.0
"""How long the elected worker goes on after each refusal. A loop that fails pauses for at most 5 s, and an answer takes
at most 2 s."""

REPLACES_SECONDS = 60.0
"""How long after its start a worker looks for a lost one whose place it takes. A worker counts as lost after 15 s."""


class Register(Protocol):
    """Where workers are entered. The methods may raise StoreUnavailable."""

    def report(self, report: Report, elected_seconds: float, replaces_seconds: float, /) -> tuple[bool, bool]:
        """Enter that this worker lives. Returns whether it is elected, and whether it took the place of a lost one.

        The election lasts for `elected_seconds` from now. The worker takes the place of the one that has been silent
        longest, if that is longer than `replaces_seconds`; of none if that is 0.
        """

    def leave(self) -> None:
        """Remove this worker, and end its election."""


class Presence:
    """One worker among all. One thread takes the turns; any thread may ask for `serves`.

    While the store refuses every write because its disk is full, nobody can be elected, so the elected worker goes on.
    With a full memory the election goes on. Known weakness: if that worker ends, nobody takes over.
    """

    def __init__(
        self,
        register: Register,
        report: Callable[[], Report],
        clock: Callable[[], float] = time.monotonic,
        *,
        serving: Callable[[], None] = lambda: None,
    ) -> None:
        """`report` tells what is true of this worker at the moment. `serving` is called at each turn while this worker
        is elected, and must not raise."""
        self._register, self.report, self._clock, self._serving = register, report, clock, serving
        self._serves_until = float("-inf")
        self._started: float | None = None
        self._told: Report | None = None
        self._rests_until = float("-inf")
        self._replaces = True

    def turn(self) -> float:
        """Report unless that would be nothing new; return the seconds until the next turn. Raises StoreUnavailable."""
        now, report = self._clock(), self.report()
        if report == self._told and now < self._rests_until:
            return BEAT_SECONDS
        try:
            return self._turn(now, report)
        except StoreUnavailable as error:
            if self.serves() and cause_of(error) is Cause.DISK:
                self._serves_until = self._clock() + GOES_ON_SECONDS
            raise

    def _turn(self, now: float, report: Report) -> float:
        started = now if self._started is None else self._started
        replaces_seconds = self._replaces_seconds(now - started)
        elected, replaced = self._register.report(report, ELECTED_SECONDS, replaces_seconds)
        # From before the question on, so that the election ends here before it ends in the store.
        self._serves_until = now + ELECTED_SECONDS if elected else float("-inf")
        self._replaces = self._replaces and not replaced
        self._started = started
        self._told = report
        rests = not elected and not replaces_seconds
        self._rests_until = now + SAME_SECONDS - BEAT_SECONDS / 2 if rests else float("-inf")
        if elected:
            self._serving()
        return BEAT_SECONDS

    @property
    def begun(self) -> bool:
        """Whether the store has heard of this worker."""
        return self._started is not None

    def serves(self) -> bool:
        """Tell whether this worker serves the metrics of all workers at this moment."""
        return self._clock() < self._serves_until

    def leave(self) -> None:
        """Let the others know that this worker stops. Without the store, it will count as lost."""
        self._serves_until = float("-inf")
        with suppress(StoreUnavailable, StoreFault, WrongKey):
            self._register.leave()

    def _replaces_seconds(self, age_seconds: float) -> float:
        """Return how long a lost worker must be silent: it fell silent before this one started, so that one that is
        lost later still counts."""
        if not self._replaces or age_seconds > REPLACES_SECONDS:
            return 0.0
        return max(LOST_SECONDS, age_seconds)
