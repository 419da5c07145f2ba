"""Entries that the worker failed to handle, for an unexpected reason: when each is tried again or given up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from worker.errors import StoreFault, WrongKey
from worker.inbound.entry import Entry

MAX_TRIES = 7
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 1.0, 60.0


@dataclass(slots=True)
class _Setback:
    entry: Entry
    tries: int
    due: float
    passed: int
    """How many other entries had got through when it last failed."""


class Setbacks:
    """Such entries, unacknowledged and apart from all others. Each is tried again after 1 s, 2 s, 4 s … up to 60 s.

    An entry is given up at its seventh failure or later, at least a minute after the first, and only if other entries
    got through since its last failure: then worker, store and machine work, and the entry is the cause. An error reply
    of Redis never counts against an entry.

    Known weakness: if no other entry gets through, the cause cannot be told, and the entry is tried every minute for as
    long as that lasts. For one thread.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._passed = 0
        self._setbacks: dict[int, _Setback] = {}

    def __contains__(self, entry: Entry) -> bool:
        return id(entry) in self._setbacks

    def others_passed(self) -> None:
        self._passed += 1

    def due(self) -> list[Entry]:
        """Return the entries that are to be tried now."""
        now = self._clock()
        return [setback.entry for setback in self._setbacks.values() if setback.due <= now]

    def failed(self, entry: Entry, error: Exception) -> bool:
        """Note a failure. Returns whether the entry is to be given up."""
        now = self._clock()
        setback = self._setbacks.setdefault(id(entry), _Setback(entry, 0, now, self._passed))
        setback.tries += 1
        others_pass, setback.passed = self._passed > setback.passed, self._passed
        setback.due = now + min(FIRST_PAUSE_SECONDS * 2 ** (setback.tries - 1), MAX_PAUSE_SECONDS)
        return setback.tries >= MAX_TRIES and others_pass and not isinstance(error, StoreFault | WrongKey)

    def over(self, entry: Entry) -> None:
        """Forget an entry that is on record or buried."""
        del self._setbacks[id(entry)]
