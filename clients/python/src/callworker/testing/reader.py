"""One reader of the events of an installation in memory."""

from __future__ import annotations

from collections.abc import Sequence

from callworker.events import Event
from callworker.testing.installation import Installation


class Reader:
    """Takes events of a queue, each once the one before it is done. Thread-safe."""

    def __init__(self, installation: Installation, types: Sequence[str], name: str | None) -> None:
        """A queue with a name has all events since the beginning; one without begins now."""
        self._installation, self._durable = installation, name is not None
        self._queue = installation.queue(types, name)
        self._closings = installation.closings
        self._in_hand: Event | None = None
        self._left = False

    @property
    def ended(self) -> bool:
        """Whether this reader or the client was closed."""
        return self._left or self._closings != self._installation.closings

    def take(self) -> Event | None:
        """Return the next event. If there is none, let a job end; None if none can."""
        with self._installation.changed:
            self._in_hand = None
            if not self.ended and (self._queue.waiting or self._installation.finish(most=1)):
                self._in_hand = self._queue.waiting.pop(0) if self._queue.waiting else self.take()
            return self._in_hand

    def close(self) -> None:
        """Give back the event that is not done, as brokers do with a durable queue."""
        with self._installation.changed:
            if self._in_hand is not None and self._durable:
                self._queue.waiting.insert(0, self._in_hand)
            if not self._durable:
                self._installation.forget(self._queue)
            self._in_hand, self._left = None, True
            self._installation.changed.notify_all()
