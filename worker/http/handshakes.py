"""TLS handshakes of a thread that makes many requests. Those that take a lot of computing go to a thread aside.

A server chooses the key exchange, and some of those that TLS allows take 0.2 s to compute (ffdhe8192), in which no
other request would go on. A server that has done so gets no more of that thread's time: OpenSSL lets other threads run
while it computes.
"""

from __future__ import annotations

import ssl
import threading
from functools import partial
from time import thread_time

from gevent.threadpool import ThreadPool

from worker.http.phases import Exchange
from worker.http.waiting import until_shaken

COSTLY_SECONDS = 0.02
"""The CPU time of one step of a handshake. A usual handshake takes 0.002 s."""

Server = tuple[str, int]


class _Aside(threading.local):
    """The servers whose handshakes were found to be costly, and the thread for these, of one event loop."""

    def __init__(self) -> None:
        self.servers: set[Server] = set()
        self.thread = ThreadPool(1)


_aside = _Aside()


def shake_hands(sock: ssl.SSLSocket, server: Server, exchange: Exchange) -> None:
    """Do the TLS handshake. Raises TimeoutError at the exchange's deadline, and what `ssl` raises."""
    until_shaken(sock, partial(_step, sock, server), exchange)


def _step(sock: ssl.SSLSocket, server: Server) -> None:
    """Do what can be done of the handshake without waiting. Raises as `SSLSocket.do_handshake` does."""
    # The thread is not interrupted at a deadline: nobody else may use or close the socket meanwhile.
    error, seconds = _aside.thread.apply(_done, (sock,)) if server in _aside.servers else _done(sock)
    if seconds > COSTLY_SECONDS:
        _aside.servers.add(server)
    if error is not None:
        raise error


def _done(sock: ssl.SSLSocket) -> tuple[Exception | None, float]:
    """Return the error, and the CPU time that the step took. A pool would print what is raised."""
    begun = thread_time()
    try:
        sock.do_handshake()
    except Exception as error:
        return error, thread_time() - begun
    return None, thread_time() - begun
