"""Has a proxy connect to a server for us, with CONNECT (RFC 9110, 9.3.6), also for plain HTTP.

What goes wrong at the proxy says nothing about the server behind it, so it has an error of its own.
"""

from __future__ import annotations

import errno
import socket
from functools import partial
from http import HTTPStatus
from time import monotonic

from worker.http.answer import Answer
from worker.http.faults import FAULTS, word
from worker.http.phases import Exchange, Phase
from worker.http.waiting import once_writable
from worker.network.proxy import Proxy

_BEHIND_IT = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
"""With these statuses a proxy says that it could not reach the server."""


class ProxyFault(Exception):
    """The proxy cannot be reached, does not answer, or refuses. Nothing was sent to the server."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


def lead(sock: socket.socket, proxy: Proxy, host: str, port: int, exchange: Exchange) -> None:
    """Make `sock`, a connection to the proxy, one to `host`. The proxy may take the whole time of the exchange.

    Raises ProxyFault. Raises OSError if the proxy cannot reach the host, and TimeoutError if it does not answer, but
    has answered others meanwhile.
    """
    exchange.start_sending()
    begun = monotonic()
    try:
        status = _asked(sock, _question(proxy, host, port), exchange)
    except FAULTS as error:
        if isinstance(error, TimeoutError) and proxy.answered > begun:
            raise
        raise ProxyFault(word(error)) from None
    proxy.answered = monotonic()
    _judge(status)


def _question(proxy: Proxy, host: str, port: int) -> bytes:
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if proxy.authorization is not None:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _asked(sock: socket.socket, question: bytes, exchange: Exchange) -> int:
    unsent = memoryview(question)
    while unsent:
        unsent = unsent[once_writable(sock, partial(sock.send, unsent), exchange) :]
    status = Answer(sock, exchange).status
    exchange.phase = Phase.CONNECTING
    return status


def _judge(status: int) -> None:
    if status in _BEHIND_IT:
        raise OSError(errno.EHOSTUNREACH, f"the proxy cannot reach it (status {status})")
    if not 200 <= status < 300:
        raise ProxyFault(f"status {status}")
