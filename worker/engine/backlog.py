"""Stops dialling while outcomes cannot leave for the results queue, or more of them wait than the operator allows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from worker.engine.dialler import Dialler
from worker.errors import BrokerRefused, StoreUnavailable

LOOK_SECONDS = 1.0


class BacklogWatch(Protocol):
    """Hears once that dialling stops, and once that it goes on. Must not raise."""

    def backlog_full(self, unpublished: int) -> None: ...

    def backlog_cleared(self, unpublished: int) -> None: ...

    def results_refused(self, problem: str) -> None: ...

    def results_accepted(self) -> None: ...


class Refusal(Protocol):
    """What all workers know of a broker that refuses events. Raises StoreUnavailable."""

    def tell(self, problem: str) -> None: ...

    def withdraw(self) -> None: ...

    def read(self) -> str | None: ...


class Backlog:
    """One turn counts the events that the results queue has not confirmed, and looks whether it refuses them.

    Above `most`, or while it refuses, no further job is leased, by any worker, for each outcome takes room in Redis;
    jobs go on being accepted, and wait. Below half of `most`, and once an event was confirmed, dialling goes on.
    Thread-safe.
    """

    def __init__(
        self, count: Callable[[], int], most: int, refusals: Refusal, dialler: Dialler, watch: BacklogWatch
    ) -> None:
        self._count, self._most, self._refusals = count, most, refusals
        self._dialler, self._watch = dialler, watch
        self._lock = threading.Lock()
        self._full, self._mine = False, False
        self.refusal: str | None = None
        """Why no event can leave."""

    def turn(self) -> float:
        """Seconds until the next look. Raises StoreUnavailable."""
        unpublished = self._count()
        with self._lock:
            self._note_refusal(self._refusals.read())
            self._note_count(unpublished)
        return LOOK_SECONDS

    def guarding(self, relay: Callable[[], float]) -> Callable[[], float]:
        """The turn of a relay, whose refusals count from the moment on."""

        def turn() -> float:
            try:
                return relay()
            except BrokerRefused as error:
                self._refused(str(error))
                raise

        return turn

    def confirmed(self) -> None:
        """The broker has taken events."""
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
        self._dialler.pause(self._full or self.refusal is not None)
