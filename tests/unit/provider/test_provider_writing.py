"""The first byte: the line between "certainly not rung" and "perhaps rung"."""

from __future__ import annotations

import socket
import ssl

import pytest

from tests.doubles.gates import OpenGate
from worker.http.connection import Connection
from worker.http.phases import Exchange, Phase


def written(
    monkeypatch: pytest.MonkeyPatch, kind: type[socket.socket], *takes: int
) -> tuple[Phase, type | None]:
    """The phase reached by writing ten bytes to a socket that takes so many each time, then fails; what was raised."""
    left = list(takes)

    def send(_: socket.socket, data: memoryview) -> int:
        if not left:
            raise ConnectionResetError
        return min(left.pop(0), len(data))

    monkeypatch.setattr(kind, "send", send)
    monkeypatch.setattr(kind, "settimeout", lambda *_: None)
    link = Connection("127.0.0.1")
    monkeypatch.setattr(link, "sock", kind.__new__(kind))
    exchange = Exchange(1, 1, OpenGate(), is_call=True, phase=Phase.READY)
    exchange.pass_gate()
    exchange.start_sending()
    try:
        link._write(b"0123456789", exchange)
    except OSError as error:
        return exchange.phase, type(error)
    return exchange.phase, None


@pytest.mark.parametrize(
    ("takes", "phase", "raised"),
    [
        ((), Phase.READY, ConnectionResetError),
        ((4,), Phase.FIRST_BYTE, ConnectionResetError),
        ((4, 5), Phase.FIRST_BYTE, ConnectionResetError),
        ((4, 6), Phase.WRITTEN, None),
        ((10,), Phase.WRITTEN, None),
    ],
)
def test_phase_follows_the_bytes_that_were_taken(
    monkeypatch: pytest.MonkeyPatch, takes: tuple[int, ...], phase: Phase, raised: type | None
) -> None:
    """No byte taken: nothing sent. One taken: perhaps. All taken: written."""
    assert written(monkeypatch, socket.socket, *takes) == (phase, raised)


def test_failed_first_write_behind_tls_may_have_sent_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of the record can be out already, so that the failure is no proof."""
    assert written(monkeypatch, ssl.SSLSocket) == (Phase.FIRST_BYTE, ConnectionResetError)


def test_reconnection_behind_the_gate_is_within_the_answers_deadline() -> None:
    """Everything after the gate has one deadline, so that a lease which covers it covers the whole request."""
    exchange = Exchange(500, 100, OpenGate(), is_call=True)
    exchange.start_connecting()
    assert exchange.remaining_seconds() > 100
    exchange.pass_gate()
    exchange.start_connecting()
    assert exchange.remaining_seconds() <= 100


@pytest.mark.parametrize("gate", [None, OpenGate()])
def test_one_deadline_covers_all_of_a_request_that_is_no_call(gate: OpenGate | None) -> None:
    """A webhook's attempt has so many seconds in all, of which connecting and its gate may take a part."""
    exchange = Exchange(500, 100, gate)
    exchange.start_connecting()
    assert exchange.remaining_seconds() <= 100
    begun = exchange.opened
    exchange.pass_gate()
    assert exchange.opened == begun
    exchange = Exchange(100, 500, gate)
    exchange.start_connecting()
    assert exchange.remaining_seconds() <= 100
    exchange.start_sending()
    assert 100 < exchange.remaining_seconds() <= 500
