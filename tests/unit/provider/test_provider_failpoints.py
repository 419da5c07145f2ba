"""The failpoints around writing a request: a fault comes between its first byte and its last."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from tests.doubles.gates import OpenGate
from worker.failpoints import FailpointReached
from worker.http.connection import Connection
from worker.http.phases import Exchange, Phase

REQUEST = b"0123456789"


class Line:
    """A connection on one end of a pair of sockets, and what comes out at the other."""

    def __init__(self, here: socket.socket, there: socket.socket) -> None:
        self.link, self._there = Connection("127.0.0.1"), there
        self.link.sock = here
        self.exchange = Exchange(5, 5, OpenGate(), is_call=True, phase=Phase.READY)

    def write(self) -> None:
        self.exchange.pass_gate()
        self.exchange.start_sending()
        self.link._write(REQUEST, self.exchange)

    def received(self) -> bytes:
        self._there.settimeout(0)
        try:
            return self._there.recv(100)
        except BlockingIOError:
            return b""


@pytest.fixture
def line() -> Iterator[Line]:
    here, there = socket.socketpair()
    with here, there:
        yield Line(here, there)


@pytest.mark.parametrize(
    ("point", "seen", "phase"),
    [
        ("first_byte.before", b"", Phase.READY),
        ("first_byte.after", REQUEST, Phase.FIRST_BYTE),
        ("last_byte.before", REQUEST[:-1], Phase.FIRST_BYTE),
        ("last_byte.after", REQUEST, Phase.WRITTEN),
    ],
)
def test_a_fault_comes_where_it_was_ordered(
    line: Line, armed: Callable[[str], None], point: str, seen: bytes, phase: Phase
) -> None:
    """The provider has seen as much of the request as the point says, and the phase tells whether it may have rung."""
    armed(f"{point}=raise")
    with pytest.raises(FailpointReached):
        line.write()
    assert (line.received(), line.exchange.phase) == (seen, phase)


@pytest.mark.parametrize("orders", ["", "last_byte.before=raise@2"])
def test_the_whole_request_is_written_once(line: Line, armed: Callable[[str], None], orders: str) -> None:
    """Each byte is written once, whether or not the last one goes by itself."""
    armed(orders)
    line.write()
    assert (line.received(), line.exchange.phase) == (REQUEST, Phase.WRITTEN)


def test_a_request_that_nobody_wants_to_break_goes_out_in_one_write(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second packet would make it late."""
    writes: list[int] = []
    whole = socket.socket.send

    def send(sock: socket.socket, data: memoryview) -> int:
        writes.append(len(data))
        return whole(sock, data)

    monkeypatch.setattr(socket.socket, "send", send)
    line.write()
    assert writes == [len(REQUEST)]


def test_failpoints_are_places_in_a_call(line: Line, armed: Callable[[str], None]) -> None:
    """Another request, such as a webhook's, passes none, so that a fault comes at the call it is meant for."""
    armed("first_byte.before=raise last_byte.before=raise")
    line.exchange = Exchange(5, 5, OpenGate(), phase=Phase.READY)
    line.write()
    assert (line.received(), line.exchange.phase) == (REQUEST, Phase.WRITTEN)
