"""The iterator over events: it connects again after an outage, and says when events may have been missed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Protocol, Self

from callworker.errors import BrokerRefused, BrokerUnavailable, InvalidEvent
from callworker.events import Event

log = logging.getLogger("callworker")

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 5.0
"""Between two attempts to connect."""
TURN_SECONDS = 60.0
"""The longest single wait for an event."""


class Source(Protocol):
    """A queue of events over one connection. What was taken counts as done when the next one is asked for."""

    def take(self, seconds: float) -> bytes | None:
        """Return the body of the next event, or None if none came in that time. Raises BrokerUnavailable."""
        ...

    def close(self) -> None:
        """Give back the event that is not done, and close the connection. Never raises."""
        ...

    def drop(self) -> None:
        """Close a connection that failed, without a word to the broker. Never raises."""
        ...


class Patience:
    """How long one event is waited for, through outages too. Each outage is told once, and once more at its end."""

    def __init__(self, timeout: float | None, *, durable: bool = False) -> None:
        self._ends = None if timeout is None else time.monotonic() + timeout
        self._durable = durable
        self._pause = 0.0

    @property
    def left(self) -> float:
        """The seconds for the next look; 0 once the time is up."""
        if self._ends is None:
            return TURN_SECONDS
        return max(0.0, min(TURN_SECONDS, self._ends - time.monotonic()))

    def pause(self, error: BrokerUnavailable) -> float:
        """Return how many seconds to wait before the next attempt. Raises the error if there is none."""
        if isinstance(error, BrokerRefused) or not self.left:
            raise error
        if not self._pause:
            log.warning("callworker: events cannot be read: %s; trying again", error)
        self._pause = min(self._pause * 2 or FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        return min(self._pause, self.left)

    def connected(self) -> None:
        self._pause = 0.0
        missed = "" if self._durable else "; those of the meantime may have been missed"
        log.warning("callworker: events are read again%s", missed)


def parsed(body: bytes) -> Event | None:
    try:
        return Event.parse(body)
    except InvalidEvent as error:
        log.warning("callworker: a message of the queue was left out: %s", error)
        return None


def ends(event: Event, job_id: str) -> bool:
    return event.status is not None and event.data.id == job_id


class Events(Iterator[Event]):
    """Events as they come, from the making of this until `close`. For one thread. See `Client.events`."""

    def __init__(self, connect: Callable[[], Source], *, timeout: float | None, durable: bool) -> None:
        self._connect, self._timeout, self._durable = connect, timeout, durable
        self._closed = False
        self._source: Source | None = connect()

    def __next__(self) -> Event:
        event = self._next(Patience(self._timeout, durable=self._durable))
        if event is None:
            raise StopIteration
        return event

    def wait(self, job_id: str, timeout: float | None = 60.0) -> Event | None:
        """Return the event that tells how a job ended, or None if it did not come in `timeout` seconds.

        Events that come before it are passed over, so use this on a queue that nobody shares. Raises BrokerUnavailable
        if the broker is away at the end.
        """
        patience = Patience(timeout, durable=self._durable)
        event = self._next(patience)
        while event is not None and not ends(event, job_id):
            event = self._next(patience)
        return event

    def _next(self, patience: Patience) -> Event | None:
        while not self._closed:
            last = not patience.left
            try:
                event = self._take(patience)
            except BrokerUnavailable as error:
                time.sleep(patience.pause(error))
                continue
            if event is not None or last:
                return event
        return None

    def _take(self, patience: Patience) -> Event | None:
        if self._source is None:
            self._source = self._connect()
            patience.connected()
        try:
            body = self._source.take(patience.left)
        except BaseException:
            source, self._source = self._source, None
            source.drop()
            raise
        return None if body is None else parsed(body)

    def close(self) -> None:
        """Stop listening. The last event of a durable queue comes again, unless the iteration went on after it."""
        source, self._source, self._closed = self._source, None, True
        if source is not None:
            source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
