"""py-amqp's socket, asked less often.

The library reads a message in nine pieces and sets the socket's timeout six times meanwhile. Each of these is a call of
the system, in which other threads break in: in a busy process that costs more than all else about the message.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import amqp
from amqp.transport import TCPTransport

from worker.broker.amqp_frames import Frames
from worker.core.judging import MAX_MESSAGE_BYTES

READ_BYTES = 65_536

_REPLACED = ("sock", "_quick_recv", "_write")
"""Attributes of py-amqp's transport over TCP."""


class Wire:
    """A socket that sets a timeout when it is needed, and reads ahead where its owner reads on until nothing is left.

    That is where the timeout is 0, as in an event loop. Elsewhere it reads what it is asked for: what it had beyond
    that would wait here, and the loop for the socket. For one thread.
    """

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._timeout: float | None = sock.gettimeout()
        self._set = self._timeout
        self._ahead = memoryview(b"")

    def gettimeout(self) -> float | None:
        return self._timeout

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds

    def recv(self, count: int) -> bytes:
        """At most `count` bytes. Raises as a socket does."""
        if not self._ahead:
            self._prepare()
            if self._timeout != 0:
                return bytes(self._sock.recv(count))
            self._ahead = memoryview(self._sock.recv(READ_BYTES))
        part, self._ahead = self._ahead[:count], self._ahead[count:]
        return bytes(part)

    def sendall(self, data: bytes) -> None:
        self._prepare()
        self._sock.sendall(data)

    def _prepare(self) -> None:
        if self._set != self._timeout:
            self._sock.settimeout(self._timeout)
            self._set = self._timeout

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def ease(connection: amqp.Connection) -> None:
    """Give a connection that was just made `Frames`, and its transport a `Wire`.

    The transport stays as it is with TLS, whose socket keeps bytes of its own, and where a version of py-amqp has other
    attributes: that costs speed alone.
    """
    connection.on_inbound_frame = Frames(connection, connection.on_inbound_method, MAX_MESSAGE_BYTES)
    transport = connection.transport
    if isinstance(transport, TCPTransport) and all(hasattr(transport, name) for name in _REPLACED):
        wire = Wire(transport.sock)
        transport.sock, transport._quick_recv, transport._write = wire, wire.recv, wire.sendall


@contextmanager
def written_together(connection: amqp.Connection) -> Iterator[None]:
    """Within, frames are kept, and written at its end in one go; not where it ends by an exception.

    Where a version of py-amqp has no `_write` to be replaced, each frame is written by itself.
    """
    transport, frames = connection.transport, bytearray()
    if not hasattr(transport, "_write"):
        yield
        return
    write, transport._write = transport._write, frames.extend
    try:
        yield
    finally:
        transport._write = write
    transport.write(frames)
