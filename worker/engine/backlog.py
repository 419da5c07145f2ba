"""Stops dialling when more outcomes wait for the results queue than the operator allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from worker.engine.dialler import Dialler

LOOK_SECONDS = 1.0


class BacklogWatch(Protocol):
    """Hears once that the bound was passed, and once that it holds again. Must not raise."""

    def backlog_full(self, unpublished: int) -> None: ...

    def backlog_cleared(self, unpublished: int) -> None: ...


class Backlog:
    """One turn counts the events that the results queue has not confirmed.

    Above `most` no further job is leased, by any worker, for each outcome takes room in Redis; jobs go on being
    accepted, and wait. Below half of `most` dialling goes on.
    """

    def __init__(self, count: Callable[[], int], most: int, dialler: Dialler, watch: BacklogWatch) -> None:
        self._count, self._most, self._dialler, self._watch = count, most, dialler, watch

    def turn(self) -> float:
        """Seconds until the next look. Raises StoreUnavailable."""
        unpublished = self._count()
        if unpublished > self._most and not self._dialler.paused:
            self._dialler.paused = True
            self._watch.backlog_full(unpublished)
        elif unpublished <= self._most // 2 and self._dialler.paused:
            self._dialler.paused = False
            self._watch.backlog_cleared(unpublished)
        return LOOK_SECONDS
