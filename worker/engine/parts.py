"""The life of a part of the worker: it is started once, stopped once, and then waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

LOOK_SECONDS = 0.01


class Grace:
    """The time that a worker is given to end in; it is cut short once `hurry` is set."""

    def __init__(self, seconds: float, hurry: threading.Event | None = None) -> None:
        self._ends, self._hurry = time.monotonic() + seconds, hurry or threading.Event()

    def wait(self, is_over: Callable[[], bool], least_seconds: float = 0.0) -> None:
        """Wait until `is_over()`, at most until the grace has passed, or `least_seconds` where that is later."""
        ends = max(self._ends, time.monotonic() + least_seconds)
        while not is_over() and time.monotonic() < ends and not self._hurry.is_set():
            self._hurry.wait(LOOK_SECONDS)


class Part:
    """A part of the worker. Each step of its life does nothing unless the part has something to do in it."""

    def start(self) -> None:
        """Begin. Raises ConfigurationError where the part cannot work as it is set up."""

    def stop(self) -> None:
        """Begin nothing more; returns at once. May come without a start."""

    def join(self, grace: Grace, /) -> None:
        """Return when what is under way has ended, or when the time for that is over."""


class Hook(Part):
    """What is done as the worker starts and stops by objects that do not know this protocol."""

    def __init__(
        self, at_start: Callable[[], object] = lambda: None, *, at_end: Callable[[], object] = lambda: None
    ) -> None:
        self._at_start, self._at_end = at_start, at_end

    def start(self) -> None:
        self._at_start()

    def join(self, _: Grace, /) -> None:
        self._at_end()


class Turning(Protocol):
    """A thread that is watched over."""

    name: str

    @property
    def stalled(self) -> bool:
        """True where the thread died, or has been kept from its work for a minute."""

    @property
    def trouble(self) -> str | None:
        """What an operator should know of it."""

    @property
    def where(self) -> str:
        """The places in the code at which it is."""
