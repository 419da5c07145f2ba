"""Takes no jobs in and dials nothing while an operator drains the workers, and says when nothing is in hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from worker.core.fleet import Drain
from worker.core.records import Pause
from worker.engine.dialler import Dialler
from worker.engine.intake import Intake


class DrainWatch(Protocol):
    """Is told once when a drain begins, and once when it ends. Must not raise."""

    def drain_began(self, reason: str) -> None: ...

    def drain_ended(self) -> None: ...


class Draining:
    """One turn reads whether workers are drained. Events and webhooks go on leaving, and expired jobs go on ending.

    Until the first look nothing is taken in or dialled: a worker that starts while the others are drained must not.
    `in_hand` counts the messages, calls and decisions that are not on record.
    """

    def __init__(
        self,
        read: Callable[[], Drain | None],
        dialler: Dialler,
        intake: Intake,
        in_hand: Callable[[], int],
        watch: DrainWatch,
    ) -> None:
        """`read` returns the drain that is on; it may raise StoreUnavailable."""
        self._read, self._dialler, self._intake = read, dialler, intake
        self._in_hand, self._watch = in_hand, watch
        self._drain: Drain | None = None
        self._quiet = 0
        intake.close(True)
        dialler.pause(True, Pause.DRAIN)

    def turn(self) -> None:
        """Look once, and obey. Raises StoreUnavailable; then all stays as it is."""
        before, self._drain = self._drain, self._read()
        on = self._drain is not None
        self._intake.close(on)
        self._dialler.pause(on, Pause.DRAIN)
        if self._drain != before:
            self._quiet = 0
        self._quiet = 0 if self._in_hand() else self._quiet + 1
        if self._drain is not None and before is None:
            self._watch.drain_began(self._drain.reason)
        elif before is not None and not on:
            self._watch.drain_ended()

    @property
    def pauses(self) -> frozenset[Pause]:
        """The drain, if one is on."""
        return frozenset({Pause.DRAIN} if self._drain else ())

    @property
    def drained(self) -> str:
        """The id of the drain, once nothing has been in hand from one turn to the next; else "".

        One turn is not enough: a source may just have fetched messages that it has not put yet.
        """
        drain = self._drain
        return drain.id if drain and self._quiet > 1 else ""
