"""Stops dialling while the broker refuses events, or while more events wait for it than the operator allows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from worker.core.records import Pause
from worker.engine.dialler import Dialler
from worker.errors import BrokerRefused, StoreUnavailable

LOOK_SECONDS = 1.0


class BacklogWatch(Protocol):
    """Is told once when dialling stops, and once when it goes on. Must not raise."""

    def backlog_full(self, unpublished: int) -> None: ...

    def backlog_cleared(self, unpublished: int) -> None: ...

    def results_refused(self, problem: str) -> None: ...

    def results_accepted(self) -> None: ...


class Refusal(Protocol):
    """The refusal of a broker to take events, as all workers share it. The methods raise StoreUnavailable."""

    def tell(self, problem: str) -> None: ...

    def withdraw(self) -> None: ...

    def read(self) -> str | None: ...


class Backlog:
    """One turn counts the events that the results queue has not confirmed, and reads whether the broker refuses events.

    While there are more than `most`, or the broker refuses, no worker leases a job, because each outcome takes room in
    Redis. Jobs are still accepted, and wait. Dialling goes on when fewer than half of `most` are left, and after a
    refusal once an event is confirmed. Thread-safe.
    """

    def __init__(
        self, count: Callable[[], int], most: int, refusals: Refusal, dialler: Dialler, watch: BacklogWatch
    ) -> None:
        self._count, self._most, self._refusals = count, most, refusals
        self._dialler, self._watch = dialler, watch
        self._lock = threading.Lock()
        self._full, self._mine = False, False
        self.refusal: str | None = None
        """Why the broker refuses events, or None."""

    @property
    def pauses(self) -> frozenset[Pause]:
        """Why no worker dials for the sake of events; empty while dialling goes on."""
        refused = {Pause.RESULTS_REFUSED} if self.refusal is not None else set()
        return frozenset(refused | ({Pause.RESULTS_BACKLOG} if self._full else set()))

    @property
    def trouble(self) -> str | None:
        """Why nothing is dialled, in words; None while dialling goes on."""
        if self.refusal is not None:
            return f"events cannot be published: {self.refusal}"
        if self._full:
            return f"more events wait for the results queue than RESULTS_BACKLOG allows ({self._most})"
        return None

    def turn(self) -> float:
        """Count and read once; return the seconds until the next turn. Raises StoreUnavailable."""
        unpublished = self._count()
        with self._lock:
            self._note_count(unpublished)
            self._note_refusal(self._refusals.read())
        return LOOK_SECONDS

    def guarding(self, relay: Callable[[], float]) -> Callable[[], float]:
        """Wrap the turn of a relay, so that a refusal which it meets counts at once."""

        def turn() -> float:
            try:
                return relay()
            except BrokerRefused as error:
                self._refused(str(error))
                raise

        return turn

    def confirmed(self) -> None:
        """Note that the broker has taken events, which ends a refusal that this worker reported."""
        with self._lock:
            if self._mine:
                self._mine = False
                with suppress(StoreUnavailable):
                    self._refusals.withdraw()
                self._note_refusal(None)

    def _refused(self, problem: str) -> None:
        with self._lock:
            self._mine = True
            with suppress(StoreUnavailable):
                self._refusals.tell(problem)
            self._note_refusal(problem)

    def _note_refusal(self, refusal: str | None) -> None:
        before, self.refusal = self.refusal, refusal
        self._pause()
        if refusal is not None and before is None:
            self._watch.results_refused(refusal)
        elif refusal is None and before is not None:
            self._watch.results_accepted()

    def _note_count(self, unpublished: int) -> None:
        before = self._full
        self._full = unpublished > (self._most // 2 if before else self._most)
        self._pause()
        if self._full and not before:
            self._watch.backlog_full(unpublished)
        elif before and not self._full:
            self._watch.backlog_cleared(unpublished)

    def _pause(self) -> None:
        self._dialler.pause(bool(self.pauses))
