"""Looks up the addresses of names in threads, because the operating system's resolver blocks its caller.

A lookup cannot be interrupted: it goes on when its caller has given up, until the resolver does. So that names whose
servers do not answer take no threads from others, each name is looked up once at a time, and names that were slow the
last time share a few threads of their own. Nothing is cached. Known weakness: if more names become slow at once than
there are threads, others wait until each of them was found to be slow.
"""

from __future__ import annotations

import socket
import threading
from time import monotonic
from typing import Any

import gevent
from gevent.event import AsyncResult
from gevent.threadpool import ThreadPool

THREADS, THREADS_OF_SLOW = 16, 4
SLOW_SECONDS = 1.0

Question = tuple[str, int, int, int]
"""The arguments of `socket.getaddrinfo`: host, port, family and kind."""


class _Lookup:
    """A lookup under way. `asking` is the number of greenlets that wait for its answer."""

    def __init__(self) -> None:
        self.answer: AsyncResult[Any] = AsyncResult()
        self.asking = 0

    def wait(self) -> Any:
        """Return the addresses, or the error that the resolver raised."""
        self.asking += 1
        try:
            return self.answer.get()
        finally:
            self.asking -= 1


class _Lookups(threading.local):
    """The lookups of one event loop."""

    def __init__(self) -> None:
        self._threads, self._threads_of_slow = ThreadPool(THREADS), ThreadPool(THREADS_OF_SLOW)
        self._under_way: dict[Question, _Lookup] = {}
        self._slow: set[Question] = set()

    def answer(self, question: Question) -> Any:
        """Join the lookup that is under way, or begin one. Returns the addresses or the error."""
        lookup = self._under_way.get(question)
        if lookup is None:
            lookup = self._under_way[question] = _Lookup()
            gevent.spawn(self._look_up, question, lookup)
        return lookup.wait()

    def _look_up(self, question: Question, lookup: _Lookup) -> None:
        threads = self._threads_of_slow if question in self._slow else self._threads
        try:
            answer, seconds = threads.apply(_resolved, (question, lookup))
        except Exception as error:  # no thread can be started; those who ask must not wait for ever
            answer, seconds = error, None
        # One that nobody waited for any more was not made, and says nothing about its name.
        if seconds is not None:
            (self._slow.add if seconds > SLOW_SECONDS else self._slow.discard)(question)
        del self._under_way[question]
        lookup.answer.set(answer)


_lookups = _Lookups()


def getaddrinfo(*question: Any) -> list[Any]:
    """As `socket.getaddrinfo`, while other greenlets go on. Raises OSError and UnicodeError."""
    answer = _lookups.answer(question)
    if isinstance(answer, Exception):
        # Several greenlets get the same answer, and an exception belongs to the one that raises it.
        raise type(answer)(*answer.args)
    return list(answer)


def _resolved(question: Question, lookup: _Lookup) -> tuple[Any, float | None]:
    """Return the addresses or the error, and how long that took; None if nobody waits for it."""
    if not lookup.asking:
        return TimeoutError("timed out"), None
    begun = monotonic()
    try:
        return socket.getaddrinfo(*question), monotonic() - begun
    except Exception as error:
        return error, monotonic() - begun
