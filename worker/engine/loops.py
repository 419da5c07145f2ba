"""Threads that take one turn after another, and survive every fault of the servers that they talk to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from worker.engine.parts import Grace, Part
from worker.errors import BrokerUnavailable, StoreUnavailable
from worker.network.causes import because
from worker.telemetry.threads import show_name, whereabouts

FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.1, 5.0
STALLED_AFTER_SECONDS = 60.0
JOIN_SECONDS = 2.0


class Faults(Protocol):
    """Is told of a loop's failures, and once when the loop works again. Must not raise."""

    def loop_failed(self, loop: str, error: Exception) -> None: ...

    def loop_recovered(self, loop: str) -> None: ...


class Wakes:
    """Ends the waits of loops. Loops are known by name, so that the object that wakes a loop can be made before it."""

    def __init__(self) -> None:
        self._events: dict[str, threading.Event] = {}

    def of(self, loop: str) -> threading.Event:
        """Return the event that the loop of this name waits for. Once it is set, the next turn begins at once."""
        return self._events.setdefault(loop, threading.Event())

    def wake_all(self) -> None:
        for event in list(self._events.values()):
            event.set()


class Loop(Part):
    """Calls `turn` repeatedly in a daemon thread.

    A turn returns the seconds to wait before the next one; setting `woken` ends that wait. After a turn that raises,
    the loop pauses for 0.1 s, doubled up to 5 s. StoreUnavailable and BrokerUnavailable are expected. Any other
    exception is a fault of this program, and does not end the loop either.

    A turn that does not end is never run a second time beside the first: it may only be slow, and a second thread would
    take what the first has in hand, or block at the same place. Until it ends, the loop is `stalled`.
    """

    def __init__(
        self,
        name: str,
        turn: Callable[[], float],
        faults: Faults,
        woken: threading.Event | None = None,
        *,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
        max_pause_seconds: float = MAX_PAUSE_SECONDS,
        stalled_after_seconds: float = STALLED_AFTER_SECONDS,
        join_seconds: float = JOIN_SECONDS,
    ) -> None:
        self.name = name
        self._turn, self._faults = turn, faults
        self._woken, self._stopping = woken or threading.Event(), threading.Event()
        self._first_pause_seconds, self._max_pause_seconds = first_pause_seconds, max_pause_seconds
        self._stalled_after_seconds = stalled_after_seconds
        self._join_seconds, self._join_until = join_seconds, 0.0
        self._pause_seconds, self._because = 0.0, ""
        self._last_turn, self._started = time.monotonic(), False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._last_turn = time.monotonic()
        self._thread.start()
        self._started = True

    def stop(self) -> None:
        """Let the turn under way be the last. Returns at once."""
        self._join_until = time.monotonic() + self._join_seconds
        self._stopping.set()
        self._woken.set()

    def join(self, _: Grace, /) -> None:
        """Wait until the turn under way has ended, until at most `join_seconds` after `stop`: the grace is for calls.

        So the waits for loops that were stopped together do not add up.
        """
        if self._thread.is_alive():
            self._thread.join(max(self._join_until - time.monotonic(), 0.0))

    @property
    def trouble(self) -> str | None:
        """What an operator should know: it has not started, its turn failed or takes too long. None if all is well."""
        if not self._started:
            return f"{self.name} has not started"
        if self._pause_seconds:
            return f"{self.name} fails{self._because}"
        return f"{self.name} stalled" if self.stalled else None

    @property
    def stalled(self) -> bool:
        """Whether the thread died, or its turn has taken a minute."""
        if not self._started or self._stopping.is_set():
            return False
        return not self._thread.is_alive() or time.monotonic() - self._last_turn > self._stalled_after_seconds

    @property
    def where(self) -> str:
        """The places in the code where the thread is."""
        return whereabouts(self._thread)

    def _run(self) -> None:
        show_name(self.name)
        while not self._stopping.is_set():
            wait_seconds = self._take_turn()
            self._last_turn = time.monotonic()
            if wait_seconds > 0:
                self._woken.wait(wait_seconds)
            self._woken.clear()

    def _take_turn(self) -> float:
        try:
            wait_seconds = self._turn()
        except Exception as error:  # a loop that ends is worse than any error
            return self._failed(error)
        if self._pause_seconds:
            self._pause_seconds = 0.0
            self._faults.loop_recovered(self.name)
        return min(wait_seconds, self._stalled_after_seconds / 4)

    def _failed(self, error: Exception) -> float:
        if not self._pause_seconds or not isinstance(error, StoreUnavailable | BrokerUnavailable):
            self._faults.loop_failed(self.name, error)
        self._because = because(error)
        self._pause_seconds = min(
            max(self._pause_seconds * 2, self._first_pause_seconds), self._max_pause_seconds
        )
        return self._pause_seconds
