"""All waiting for a non-blocking socket: connecting, the TLS handshake, reading and writing.

The dial thread and the webhook thread run each request in a greenlet (`engine/greenlets.py`). A wait here lets the
other greenlets run, which costs far less than a switch between threads. In any other thread it only waits.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any, TypeVar

import gevent
from gevent import get_hub
from gevent.socket import wait_read, wait_write

from worker.http.phases import Exchange

T = TypeVar("T")


def connect(sock: socket.socket, address: Any, seconds: float) -> None:
    """Make `sock` non-blocking and connect it. Raises OSError, TimeoutError among them."""
    sock.setblocking(False)
    begun = sock.connect_ex(address)
    if begun in (errno.EINPROGRESS, errno.EWOULDBLOCK):
        wait_write(sock.fileno(), seconds, late())
        begun = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if begun:
        raise OSError(begun, os.strerror(begun))


def until_shaken(sock: ssl.SSLSocket, step: Callable[[], None], exchange: Exchange) -> None:
    """Call `step` of a TLS handshake until it does not ask to wait. Raises TimeoutError at the exchange's deadline."""
    _retried(sock, step, exchange, wait_read)


def once_writable(sock: socket.socket, write: Callable[[], int], exchange: Exchange) -> int:
    """Call `write` as soon as it does not block, and return its result. Raises TimeoutError at the deadline."""
    return _retried(sock, write, exchange, wait_write)


def once_readable(sock: socket.socket, read: Callable[[], int], exchange: Exchange) -> int:
    """Call `read` as soon as bytes or the end have come, and return its result. Raises TimeoutError at the deadline.

    A plain socket rarely has bytes at once, so this waits before the first read. A TLS connection may have bytes that
    its socket does not show.
    """
    if not isinstance(sock, ssl.SSLSocket):
        _wait(wait_read, sock, exchange)
    return _retried(sock, read, exchange, wait_read)


def end_quietly_at_ctrl_c() -> None:
    """Let a KeyboardInterrupt end the waits of this thread without a traceback.

    gevent passes it on to the thread, and by default prints it too.
    """
    hub: Any = get_hub()
    hub.NOT_ERROR = (*hub.NOT_ERROR, KeyboardInterrupt)


def gather(seconds: float, exchange: Exchange) -> None:
    """Wait, so that what comes meanwhile can be read together. Raises TimeoutError at the exchange's deadline."""
    gevent.sleep(min(seconds, exchange.remaining_seconds()))


def late() -> TimeoutError:
    """Return the error that is raised at the end of a wait."""
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
