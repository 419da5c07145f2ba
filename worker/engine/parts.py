"""The life cycle of a part of the worker: it is started once, stopped once, and then waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

LOOK_SECONDS = 0.01


class Grace:
    """The time in which a worker may end. Setting `hurry` cuts it short."""

    def __init__(self, seconds: float, hurry: threading.Event | None = None) -> None:
        self._ends, self._hurry = time.monotonic() + seconds, hurry or threading.Event()

    def wait(self, is_over: Callable[[], bool], least_seconds: float = 0.0) -> None:
        """Wait until `is_over()`, at most until the grace has passed, or for `least_seconds` if that is longer."""
        ends = max(self._ends, time.monotonic() + least_seconds)
        while not is_over() and time.monotonic() < ends and not self._hurry.is_set():
            self._hurry.wait(LOOK_SECONDS)


class Part:
    """A part of the worker. A step of the life cycle that a part does not define does nothing."""

    def start(self) -> None:
        """Begin. Raises ConfigurationError if the part cannot work as it is configured."""

    def stop(self) -> None:
        """Begin nothing more. Returns at once. May be called without `start`."""

    def join(self, grace: Grace, /) -> None:
        """Wait until what is under way has ended, or until the time for that is over."""


class Hook(Part):
    """Calls functions as the worker starts and stops, for objects that do not have this life cycle."""

    def __init__(
        self, at_start: Callable[[], object] = lambda: None, *, at_end: Callable[[], object] = lambda: None
    ) -> None:
        self._at_start, self._at_end = at_start, at_end

    def start(self) -> None:
        self._at_start()

    def join(self, _: Grace, /) -> None:
        self._at_end()


class Turning(Protocol):
    """A thread that the watchdog watches over."""

    name: str

    @property
    def stalled(self) -> bool:
        """Whether the thread died, or has been kept from its work for a minute."""

    @property
    def trouble(self) -> str | None:
        """What an operator should know about the thread, or None."""

    @property
    def where(self) -> str:
        """The places in the code where the thread is."""
