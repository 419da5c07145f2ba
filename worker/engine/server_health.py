"""Asks again and again whether a server takes writes, in a thread of its own, so that no other work waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

BEAT_SECONDS = 2.0
STALE_SECONDS = 10.0
"""Older facts count no more. A loop that fails pauses for at most 5 s, and an answer takes at most 2 s."""


class Facts(Protocol):
    """What a server last told, or why it did not take a write."""

    @property
    def problem(self) -> Exception | None: ...


Known = TypeVar("Known", bound=Facts)


class ServerHealth(Generic[Known]):
    """Keeps the newest facts about a server. One thread takes the turns; any thread may ask for `latest`."""

    def __init__(
        self, ask: Callable[[], Known], stale: Known, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`stale` has the problem that counts when the server was not asked for a while."""
        self._ask, self._stale, self._clock = ask, stale, clock
        self._kept: tuple[float, Known] | None = None

    def turn(self) -> float:
        """Ask once; return the seconds until the next turn. Raises the problem if no write is taken."""
        facts = self._ask()
        self._kept = self._clock(), facts
        if facts.problem is not None:
            raise facts.problem
        return BEAT_SECONDS

    def latest(self) -> Known | None:
        """Return what the server told last; None before its first answer."""
        kept = self._kept
        if kept is not None and self._clock() - kept[0] > STALE_SECONDS:
            return self._stale
        return kept and kept[1]

    def problem(self) -> Exception | None:
        """Return why the server takes no writes, as far as is known."""
        facts = self.latest()
        return None if facts is None else facts.problem
