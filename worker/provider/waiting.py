"""Waits on the connection's socket, which itself never blocks.

A socket with a timeout is set anew for each deadline and asks the system before each read and write; both let another
thread take over, which costs more than the reading and writing itself.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

from urllib3.util.wait import wait_for_read, wait_for_write

from worker.provider.phases import Exchange


def once_writable(sock: socket.socket, write: Callable[[], int], exchange: Exchange) -> int:
    """What `write` returns, as soon as it can. Raises TimeoutError at the end of the exchange's present stretch."""
    return _retried(sock, write, exchange, wait_for_write)


def once_readable(sock: socket.socket, read: Callable[[], int], exchange: Exchange) -> int:
    """What `read` returns, as soon as there is something, or the end. Raises TimeoutError as `once_writable` does.

    There is seldom something at once, but a TLS connection may hold what the socket does not show.
    """
    if not isinstance(sock, ssl.SSLSocket):
        _wait(wait_for_read, sock, exchange)
    return _retried(sock, read, exchange, wait_for_read)


def _retried(
    sock: socket.socket, action: Callable[[], int], exchange: Exchange, wait: Callable[..., bool]
) -> int:
    while True:
        exchange.remaining_seconds()
        try:
            return action()
        except ssl.SSLWantReadError:
            _wait(wait_for_read, sock, exchange)
        except ssl.SSLWantWriteError:
            _wait(wait_for_write, sock, exchange)
        except BlockingIOError:
            _wait(wait, sock, exchange)


def _wait(wait: Callable[..., bool], sock: socket.socket, exchange: Exchange) -> None:
    if not wait(sock, timeout=exchange.remaining_seconds()):
        raise TimeoutError("timed out")
