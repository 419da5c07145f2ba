"""All waiting for a socket, which never blocks: connecting, shaking hands, reading and writing.

The dial thread and the courier thread run each request in a greenlet (`engine/greenlets.py`). A wait here lets the next
one go on, which costs far less than a switch between threads. In any other thread a wait only waits.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any, TypeVar

from gevent.socket import wait_read, wait_write

from worker.http.phases import Exchange

T = TypeVar("T")


def connect(sock: socket.socket, address: Any, seconds: float) -> None:
    """Connect `sock`, which does not block from then on. Raises OSError, TimeoutError included."""
    sock.setblocking(False)
    begun = sock.connect_ex(address)
    if begun in (errno.EINPROGRESS, errno.EWOULDBLOCK):
        wait_write(sock.fileno(), seconds, late())
        begun = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if begun:
        raise OSError(begun, os.strerror(begun))


def shake_hands(sock: ssl.SSLSocket, exchange: Exchange) -> None:
    """Do the TLS handshake. Raises TimeoutError at the end of the stretch under way, and what `ssl` raises."""
    _retried(sock, sock.do_handshake, exchange, wait_read)


def once_writable(sock: socket.socket, write: Callable[[], int], exchange: Exchange) -> int:
    """What `write` returns, as soon as it can. Raises TimeoutError at the end of the stretch under way."""
    return _retried(sock, write, exchange, wait_write)


def once_readable(sock: socket.socket, read: Callable[[], int], exchange: Exchange) -> int:
    """What `read` returns, as soon as bytes or the end have come. Raises TimeoutError as `once_writable` does.

    A plain socket seldom has something at once. A TLS connection may hold what its socket does not show.
    """
    if not isinstance(sock, ssl.SSLSocket):
        _wait(wait_read, sock, exchange)
    return _retried(sock, read, exchange, wait_read)


def late() -> TimeoutError:
    """What is raised at the end of a wait."""
    return TimeoutError("timed out")


def _retried(
    sock: socket.socket, action: Callable[[], T], exchange: Exchange, usual: Callable[..., None]
) -> T:
    while True:
        exchange.remaining_seconds()
        try:
            return action()
        except ssl.SSLWantReadError:
            wait: Callable[..., None] = wait_read
        except ssl.SSLWantWriteError:
            wait = wait_write
        except BlockingIOError:
            wait = usual
        _wait(wait, sock, exchange)


def _wait(wait: Callable[..., None], sock: socket.socket, exchange: Exchange) -> None:
    wait(sock.fileno(), exchange.remaining_seconds(), late())
