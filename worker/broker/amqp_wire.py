"""Fewer system calls on py-amqp's socket.

py-amqp reads a message in nine pieces and meanwhile sets the socket's timeout six times. Each of these is a system
call, at which another thread may take over. In a busy process that costs more than everything else about the message.
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
    """A socket that sets its timeout only when it must, and reads ahead while the timeout is 0. For one thread.

    With a timeout of 0, as in an event loop, the owner reads until nothing is left. With any other timeout it reads
    only what it is asked for: bytes read ahead would wait here while the event loop waits for the socket.
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
        """Return at most `count` bytes. Raises what a socket raises."""
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
    """Give `Frames` to a connection that was just made, and a `Wire` to its transport.

    The transport stays as it is with TLS, because a TLS socket keeps bytes of its own. It also stays as it is if this
    version of py-amqp has other attributes; that costs only speed.
    """
    connection.on_inbound_frame = Frames(connection, connection.on_inbound_method, MAX_MESSAGE_BYTES)
    transport = connection.transport
    if isinstance(transport, TCPTransport) and all(hasattr(transport, name) for name in _REPLACED):
        wire = Wire(transport.sock)
        transport.sock, transport._quick_recv, transport._write = wire, wire.recv, wire.sendall


@contextmanager
def written_together(connection: amqp.Connection) -> Iterator[None]:
    """Collect the frames that are written inside the `with` statement, and write them in one go at its end.

    After an exception nothing is written. If this version of py-amqp has no `_write`, each frame is written by itself.
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
