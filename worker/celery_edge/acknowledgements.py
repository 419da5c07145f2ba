"""Acknowledges many AMQP messages in one frame.

Source: RabbitMQ documentation, "Consumer Acknowledgements and Publisher Confirms".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from structlog import get_logger

log = get_logger(__name__)


class Soon(Protocol):
    """Runs a function soon, in the thread that owns the channel. Any thread may call it."""

    def __call__(self, run: Callable[[], None], /) -> Any: ...


class Acknowledgements:
    """The acknowledgements of one channel, on which nothing else acknowledges.

    Only the function that `expect` returns may be called by several threads. Messages that are done at the same time
    are acknowledged together, and those before all open ones take a single frame. `errors` are the errors of a lost
    connection or channel; the broker then delivers unacknowledged messages again. Messages without room are noted here
    by tag and size until `put_back` returns them to their queue.
    """

    def __init__(self, channel: Any, call_soon: Soon, errors: tuple[type[Exception], ...]) -> None:
        self._channel, self._call_soon, self._errors = channel, call_soon, errors
        self._open: dict[int, None] = {}
        """Rising delivery tags in the order of delivery."""
        self._done: deque[int] = deque()
        self._due = False
        self._set_aside: deque[tuple[int, int]] = deque()

    def expect(self, tag: int) -> Callable[[], None]:
        """Note that a message was delivered. Returns a function to call, from any thread, when it is on record."""
        self._open[tag] = None
        return partial(self._note, tag)

    def set_aside(self, tag: int, size: int) -> None:
        """Note that there is no room for an expected message."""
        self._set_aside.append((tag, size))

    def put_back(self, room_bytes: int) -> None:
        """Return as many of the messages without room as fit now to their queue, which delivers them again."""
        while self._set_aside and self._set_aside[0][1] <= room_bytes:
            tag, size = self._set_aside.popleft()
            room_bytes -= size
            del self._open[tag]
            with suppress(*self._errors):
                self._channel.basic_reject(tag, requeue=True)

    def _note(self, tag: int) -> None:
        self._done.append(tag)
        # If it is due already, the tags have not been collected yet, so this one is among them.
        if not self._due:
            self._due = True
            self._call_soon(self._acknowledge)

    def _acknowledge(self) -> None:
        self._due = False
        done = {self._done.popleft() for _ in range(len(self._done))}
        first_open = next((tag for tag in self._open if tag not in done), None)
        together = [tag for tag in done if first_open is None or tag < first_open]
        for tag in done:
            del self._open[tag]
        try:
            if together:
                self._channel.basic_ack(max(together), multiple=True)
            for tag in sorted(done.difference(together)):
                self._channel.basic_ack(tag)
        except self._errors as error:
            log.warning("messages.not_acknowledged", count=len(done), problem=type(error).__name__)
