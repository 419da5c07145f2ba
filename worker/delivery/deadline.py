"""An HTTP session with a deadline over the whole answer.

The timeouts of `requests` are for each read alone: an endpoint that sends one byte now and then could hold
a thread for ever, in its headers as well as in its body. Here every read from the socket gets only the time
that is left.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from functools import partial
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from socket import socket
from ssl import SSLContext
from typing import Any, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool

from worker.http.heads import FinalAnswer, Headers, as_message

MAX_ANSWER_BYTES = 64 * 1024
"""Read of one answer at most, interim answers and headers included; the body is of no use."""


class Deadline:
    """A moment on the monotonic clock by which one exchange must end; set anew for each."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends = 0.0

    def start(self, seconds: float) -> None:
        self._ends = self._clock() + seconds

    def remaining_seconds(self) -> float:
        """More than 0. Raises TimeoutError once the deadline has passed."""
        remaining = self._ends - self._clock()
        if remaining <= 0:
            raise TimeoutError("the deadline has passed")
        return remaining


class _BoundedReader(io.RawIOBase):
    """What comes from a socket, until the deadline or `MAX_ANSWER_BYTES`."""

    def __init__(self, sock: socket, deadline: Deadline) -> None:
        self._room_bytes = MAX_ANSWER_BYTES
        self._sock = sock
        self._inner = sock.makefile("rb", buffering=0)
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._room_bytes <= 0:
            raise HTTPException("too long an answer")
        self._sock.settimeout(self._deadline.remaining_seconds())
        count = self._inner.readinto(buffer)
        self._room_bytes -= count or 0
        return count

    def close(self) -> None:
        self._inner.close()
        super().close()


class _BoundedResponse(FinalAnswer):
    def __init__(self, sock: socket, *args: Any, deadline: Deadline, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        unbounded, self.fp = self.fp, io.BufferedReader(_BoundedReader(sock, deadline))
        unbounded.close()

    def begin(self) -> None:
        super().begin()
        self.will_close = self.will_close or self.odd
        self.headers = self.msg = as_message(cast(Headers, self.headers))


class _BoundedAdapter(HTTPAdapter):
    def __init__(self, deadline: Deadline, tls: SSLContext) -> None:
        self._deadline, self._tls = deadline, tls
        super().__init__(max_retries=0)

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Nothing to do: the TLS context knows which certificates are trusted."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._tls, **kwargs)
        pools = {"http": HTTPConnectionPool, "https": HTTPSConnectionPool}
        self.poolmanager.pool_classes_by_scheme = {
            scheme: self._bounded(pool) for scheme, pool in pools.items()
        }

    def _bounded(self, pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
        response = staticmethod(partial(_BoundedResponse, deadline=self._deadline))
        connection = type("BoundedConnection", (pool.ConnectionCls,), {"response_class": response})
        return type("BoundedPool", (pool,), {"ConnectionCls": connection})


def bounded_session(deadline: Deadline, tls: SSLContext) -> requests.Session:
    """A session whose answers end by `deadline`, that repeats nothing and keeps no cookies.

    `tls` says which certificates are trusted. The session heeds no proxy variables, `.netrc` or other
    environment and adds no headers of its own. For one thread only.

    Known weakness: looking up a host's name is bounded by the system's resolver, and connecting by the
    connect timeout for each of its addresses in turn.
    """
    session = requests.Session()
    session.trust_env = False
    session.headers.clear()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        session.mount(scheme, _BoundedAdapter(deadline, tls))
    return session
