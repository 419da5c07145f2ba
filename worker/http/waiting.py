"""Everything that a request waits for: names, connections, handshakes, and its socket, which never blocks.

The dial thread runs each call in a greenlet (`engine/greenlets.py`). A wait here lets the next one go on, which costs
far less than to have the system switch between threads. In any other thread a wait simply waits.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any

import gevent
from gevent.socket import getaddrinfo, wait_read, wait_write

from worker.http.phases import Exchange, current


def once_writable(sock: socket.socket, write: Callable[[], int], exchange: Exchange) -> int:
    """What `write` returns, as soon as it can. Raises TimeoutError at the end of the exchange's present stretch."""
    return _retried(sock, write, exchange, wait_write)


def once_readable(sock: socket.socket, read: Callable[[], int], exchange: Exchange) -> int:
    """What `read` returns, as soon as there is something, or the end. Raises TimeoutError as `once_writable` does.

    There is seldom something at once, but a TLS connection may hold what the socket does not show.
    """
    if not isinstance(sock, ssl.SSLSocket):
        _wait(wait_read, sock, exchange)
    return _retried(sock, read, exchange, wait_read)


def resolve(host: str, port: int, family: int, exchange: Exchange) -> list[Any]:
    """The addresses of `host`, as `socket.getaddrinfo` gives them; asked for in a thread of its own.

    Raises OSError, TimeoutError included: the thread then waits on by itself, for the resolver cannot be interrupted.
    """
    with gevent.Timeout(exchange.remaining_seconds(), _late()):
        found: list[Any] = getaddrinfo(host, port, family, socket.SOCK_STREAM)
        return found


def connect(sock: socket.socket, address: Any, seconds: float) -> None:
    """Connect `sock`, which does not block from then on. Raises OSError, TimeoutError included."""
    sock.setblocking(False)
    begun = sock.connect_ex(address)
    if begun in (errno.EINPROGRESS, errno.EWOULDBLOCK):
        wait_write(sock.fileno(), seconds, _late())
        begun = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if begun:
        raise OSError(begun, os.strerror(begun))


class PatientTLSSocket(ssl.SSLSocket):
    """A TLS socket whose handshake waits as all else here does, for the exchange under way."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: ARG002 (the library's signature)
        """Shake hands. Raises TimeoutError at the end of the exchange's present stretch, and what `ssl` raises."""
        self.setblocking(False)
        _retried(self, self._shake, current(), wait_read)

    def _shake(self) -> int:
        super().do_handshake()
        return 0


def _retried(
    sock: socket.socket, action: Callable[[], int], exchange: Exchange, wait: Callable[..., None]
) -> int:
    while True:
        exchange.remaining_seconds()
        try:
            return action()
        except ssl.SSLWantReadError:
            _wait(wait_read, sock, exchange)
        except ssl.SSLWantWriteError:
            _wait(wait_write, sock, exchange)
        except BlockingIOError:
            _wait(wait, sock, exchange)


def _wait(wait: Callable[..., None], sock: socket.socket, exchange: Exchange) -> None:
    wait(sock.fileno(), exchange.remaining_seconds(), _late())


def _late() -> TimeoutError:
    return TimeoutError("timed out")
