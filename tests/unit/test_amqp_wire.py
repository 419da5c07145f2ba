"""A socket that reads ahead only where nobody waits for the socket itself, and frames that go out together."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest
from amqp.transport import TCPTransport

from worker.broker.amqp_frames import Frames
from worker.broker.amqp_wire import Wire, ease, written_together
from worker.errors import BrokerUnavailable


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        near.settimeout(5.0)
        yield near, far


Ends = tuple[socket.socket, socket.socket]


def in_socket(near: socket.socket) -> bytes:
    """Return the bytes that were not read from the socket."""
    near.setblocking(False)
    try:
        return near.recv(100, socket.MSG_PEEK)
    except BlockingIOError:
        return b""


def test_reads_ahead_where_nothing_is_waited_for(ends: Ends) -> None:
    """One read takes all; the rest is served from it, and then nothing is there."""
    near, far = ends
    far.sendall(b"0123456789")
    wire = Wire(near)
    wire.settimeout(0)
    assert wire.recv(3) == b"012"
    assert in_socket(near) == b""
    assert [wire.recv(3), wire.recv(100)] == [b"345", b"6789"]
    with pytest.raises(BlockingIOError):
        wire.recv(1)


def test_takes_no_more_than_asked_for_where_it_waits(ends: Ends) -> None:
    """Bytes beyond those asked for stay in the socket, where an event loop sees them."""
    near, far = ends
    far.sendall(b"0123456789")
    assert Wire(near).recv(3) == b"012"
    assert in_socket(near) == b"3456789"


def test_what_was_read_ahead_comes_first(ends: Ends) -> None:
    """A reader that waits is given it first too."""
    near, far = ends
    far.sendall(b"01")
    wire = Wire(near)
    wire.settimeout(0)
    assert wire.recv(1) == b"0"
    wire.settimeout(5.0)
    far.sendall(b"2")
    assert [wire.recv(9), wire.recv(9)] == [b"1", b"2"]


def test_timeout_is_set_when_it_is_needed(ends: Ends) -> None:
    """Setting the timeout back and forth costs nothing; each read and write uses the last one."""
    near, far = ends
    wire = Wire(near)
    wire.settimeout(0)
    wire.settimeout(3.0)
    assert (wire.gettimeout(), near.gettimeout()) == (3.0, 5.0)
    wire.sendall(b"a")
    assert near.gettimeout() == 3.0
    wire.settimeout(0.001)
    with pytest.raises(TimeoutError):
        wire.recv(1)
    assert far.recv(9) == b"a"


def test_the_end_of_the_stream_is_told(ends: Ends) -> None:
    """The end of the stream is reported as by a socket."""
    near, far = ends
    wire = Wire(near)
    wire.settimeout(0)
    far.close()
    assert wire.recv(9) == b""


class Transport:
    """One that notes each write."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self._write = self._note

    def write(self, data: bytes) -> None:
        self._write(data)

    def _note(self, data: bytes) -> None:
        self.written.append(bytes(data))


def test_frames_go_out_together() -> None:
    """Copied when they are given, for the library uses its buffer again; one by one afterwards."""
    transport: Any = Transport()
    connection: Any = SimpleNamespace(transport=transport)
    buffer = bytearray(b"one")
    with written_together(connection):
        transport.write(memoryview(buffer))
        buffer[:] = b"two"
        transport.write(memoryview(buffer))
        assert transport.written == []
    transport.write(b"three")
    assert transport.written == [b"onetwo", b"three"]


def test_nothing_goes_out_after_an_error() -> None:
    """After an error nothing of the batch is sent: the caller sends all of it again."""
    transport: Any = Transport()
    connection: Any = SimpleNamespace(transport=transport)
    with suppress(BrokerUnavailable), written_together(connection):
        transport.write(b"one")
        raise BrokerUnavailable
    transport.write(b"two")
    assert transport.written == [b"two"]


def over_tcp(near: socket.socket) -> Any:
    """A connection of py-amqp's as it is once its transport is there."""
    transport = TCPTransport("127.0.0.1:5672")
    transport.sock, transport._quick_recv, transport._write = near, near.recv, near.sendall
    return SimpleNamespace(transport=transport, on_inbound_frame=None, on_inbound_method=None)


def test_a_transport_over_tcp_reads_and_writes_through_the_wire(ends: Ends) -> None:
    """The transport reads and writes through the wire, and the connection takes the frames as they come."""
    near, far = ends
    connection = over_tcp(near)
    ease(connection)
    transport = connection.transport
    assert isinstance(transport.sock, Wire) and isinstance(connection.on_inbound_frame, Frames)
    transport.write(b"out")
    far.sendall(b"in")
    assert (far.recv(9), transport._quick_recv(9)) == (b"out", b"in")


def test_a_transport_that_is_built_otherwise_is_left_alone(ends: Ends) -> None:
    """A version of py-amqp with other attributes is slower with it, and works."""
    near, _ = ends
    connection = over_tcp(near)
    del connection.transport._quick_recv
    ease(connection)
    assert connection.transport.sock is near and isinstance(connection.on_inbound_frame, Frames)


def test_frames_go_out_one_by_one_where_they_cannot_be_kept() -> None:
    """A version of py-amqp that writes in another way still publishes."""
    written: list[bytes] = []
    with written_together(cast(Any, SimpleNamespace(transport=SimpleNamespace(write=written.append)))):
        written.append(b"one")
    assert written == [b"one"]
