"""Asks a server on a socket whether it is ready, or to end."""

from __future__ import annotations

import enum
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.embedded.errors import EmbeddedServerError

_PROBE_SECONDS = 1.0


class Answer(enum.Enum):
    """The answer of a server to PING."""

    READY = "ready"
    LOADING = "loading"
    SILENT = "silent"


def ping(socket: Path) -> Answer:
    """Ask the server. Returns READY, LOADING while it reads its data, or SILENT after about a second."""
    try:
        with _client(socket) as client:
            client.ping()
    except redis.exceptions.BusyLoadingError:
        return Answer.LOADING
    except redis.exceptions.RedisError:
        return Answer.SILENT
    return Answer.READY


def ask_to_leave(socket: Path) -> None:
    """Ask a server to write its data and end. Does nothing if it does not answer."""
    try:
        with _client(socket) as client:
            client.execute_command("SHUTDOWN")
    except redis.exceptions.RedisError:
        pass


class Deadline:
    """The time that a server may be silent. It starts again each time the server says that it is loading."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def check(self, answer: Answer, complaint: str) -> None:
        """Raise EmbeddedServerError with the text `complaint` when the time is up."""
        if answer is Answer.LOADING:
            self._end = time.monotonic() + self._seconds
        elif time.monotonic() > self._end:
            raise EmbeddedServerError(complaint)


def _client(socket: Path) -> redis.Redis:
    return redis.Redis(
        unix_socket_path=str(socket),
        socket_timeout=_PROBE_SECONDS,
        socket_connect_timeout=_PROBE_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
