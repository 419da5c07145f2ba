"""Notices when Celery's consumer is not connected, or no longer turns."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from worker.engine.loops import Faults
from worker.errors import BrokerUnavailable
from worker.network.causes import because

NAME = "consumer"
STALLED_AFTER_SECONDS = 60.0
MAX_LOSSES, LOSSES_WITHIN_SECONDS = 3, 30.0
"""A consumer that loses its connection so often takes no messages, although it is connected most of the time."""


class ConsumerWatch:
    """The state of the consumer: its own loop reports it, and the watchdog asks for it. Thread-safe.

    Only a consumer that is attached, which means connected, can stall. One that waits for its broker is well.
    """

    def __init__(self, faults: Faults, clock: Callable[[], float] = time.monotonic) -> None:
        self._faults, self._clock, self._failing = faults, clock, False
        self._restart: Callable[[], None] | None = None
        self._last_beat = 0.0
        self._why = ""
        self._losses: deque[float] = deque(maxlen=MAX_LOSSES)

    def attach(self, restart: Callable[[], None]) -> None:
        """Note that the consumer is connected. Another thread may call `restart`, which makes it connect again."""
        self._last_beat, self._restart, self._why = self._clock(), restart, ""

    def failed(self, error: BrokerUnavailable) -> None:
        """Note that it could not connect, was refused or lost its connection. `trouble` names the cause meanwhile."""
        self._why, self._failing = because(error), True
        self._faults.loop_failed(NAME, error)

    def detach(self) -> None:
        """Note that it lost its connection, or ends."""
        if self._restart is not None:
            self._losses.append(self._clock())
        self._restart = None

    def beat(self) -> None:
        """Note that its event loop turns, with all consumers at work."""
        self._last_beat = self._clock()
        if self._failing:
            self._failing = False
            self._faults.loop_recovered(NAME)

    @property
    def stalled(self) -> bool:
        return self._restart is not None and self._clock() - self._last_beat > STALLED_AFTER_SECONDS

    @property
    def trouble(self) -> str | None:
        """Why no messages are taken at the moment, or None."""
        if self._restart is None:
            return f"the consumer is not connected to the broker{self._why}"
        if len(self._losses) == MAX_LOSSES and self._clock() - self._losses[0] < LOSSES_WITHIN_SECONDS:
            return "the consumer repeatedly loses its connection to the broker"
        return "consumer stalled" if self.stalled else None

    def restart(self) -> None:
        """Make a stalled consumer connect again. It then has a minute to beat."""
        restart, self._last_beat = self._restart, self._clock()
        if restart is not None:
            restart()
