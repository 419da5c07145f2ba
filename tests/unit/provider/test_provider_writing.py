"""The first byte: the line between "certainly not rung" and "perhaps rung"."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import pytest

from worker.provider.connection import PhasedHTTPConnection
from worker.provider.phases import Exchange, NothingSent, Phase, under_way


class Wire:
    """A socket that takes `takes` bytes with each write, then fails."""

    def __init__(self, *takes: int) -> None:
        self._takes = list(takes)

    def settimeout(self, seconds: float) -> None:
        assert 0 < seconds <= 1

    def send(self, data: memoryview) -> int:
        if not self._takes:
            raise ConnectionResetError
        return min(self._takes.pop(0), len(data))


class TLSWire(Wire, ssl.SSLSocket):
    """The same behind TLS."""


def written(make_wire: Callable[..., Any], *takes: int) -> tuple[Phase, type[BaseException] | None]:
    """The phase reached by writing ten bytes, and what was raised."""
    wire = make_wire.__new__(make_wire)  # type: ignore[call-overload]
    wire._takes = list(takes)
    link = PhasedHTTPConnection("127.0.0.1")
    link.sock = wire
    exchange = Exchange(lambda: None, connect_seconds=1, answer_seconds=1, phase=Phase.READY)
    exchange.start_sending()
    with under_way(exchange):
        try:
            link._write(b"0123456789")
        except (OSError, NothingSent) as problem:
            return exchange.phase, type(problem)
    return exchange.phase, None


@pytest.mark.parametrize(
    ("takes", "phase", "raised"),
    [
        ((), Phase.READY, NothingSent),
        ((4,), Phase.FIRST_BYTE, ConnectionResetError),
        ((4, 5), Phase.FIRST_BYTE, ConnectionResetError),
        ((4, 6), Phase.WRITTEN, None),
        ((10,), Phase.WRITTEN, None),
    ],
)
def test_phase_follows_the_bytes_that_were_taken(
    takes: tuple[int, ...], phase: Phase, raised: type[BaseException] | None
) -> None:
    """No byte taken: nothing sent. One taken: perhaps. All taken: written."""
    assert written(Wire, *takes) == (phase, raised)


def test_failed_first_write_behind_tls_may_have_sent_something() -> None:
    """A part of the record can be out already, so that the failure is no proof."""
    assert written(TLSWire) == (Phase.FIRST_BYTE, ConnectionResetError)
