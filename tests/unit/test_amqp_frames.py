"""Messages taken from AMQP frames: nothing of what a producer wrote is decoded, and too much of it is not kept."""

from __future__ import annotations

import hashlib
from struct import pack
from types import SimpleNamespace
from typing import Any

import pytest
from amqp import spec
from amqp.exceptions import UnexpectedFrame
from amqp.serialization import dumps, loads

from worker.broker.amqp_frames import HEAD_BYTES, Frames, Received

MAX = 20_000


class Wire:
    """A wire with the bytes of a broker, and the methods that were dispatched."""

    def __init__(self) -> None:
        self.connection = SimpleNamespace(bytes_recv=0)
        self.dispatched: list[tuple[int, tuple[int, int], bytes, Any]] = []
        self.frames = Frames(self.connection, lambda *method: self.dispatched.append(method), MAX)

    def method(self, signature: tuple[int, int], arguments: bytes = b"", channel: int = 1) -> bool:
        return self.frames((1, channel, pack(">HH", *signature) + arguments))

    def header(self, size: int, properties: bytes = b"\x00\x00", channel: int = 1) -> bool:
        return self.frames((2, channel, pack(">HHQ", 60, 0, size) + properties))

    def body(self, part: bytes, channel: int = 1) -> bool:
        return self.frames((3, channel, part))

    def deliver(
        self, body: bytes, properties: bytes = b"\x00\x00", routing_key: bytes = b"calls"
    ) -> Received:
        arguments = dumps("sLbss", ["tag", 7, True, "calls", routing_key])
        assert not self.method(spec.Basic.Deliver, arguments)
        done = self.header(len(body), properties)
        for start in range(0, len(body), 4096):
            assert not done
            done = self.body(body[start : start + 4096])
        assert done
        received = self.dispatched[-1][3].body
        assert isinstance(received, Received)
        return received


@pytest.mark.parametrize("body", [b"", b"x", b"x" * 9000])
@pytest.mark.parametrize("properties", [b"", b"\x00", b"\xff\xff\xff", b"\x80\x00\x03\xff\xfe\xfd"])
def test_a_delivery_comes_as_it_was_sent(body: bytes, properties: bytes) -> None:
    """A delivery comes as it was sent, with its properties undecoded (E2)."""
    wire = Wire()
    assert wire.deliver(body, properties) == Received(properties, body, len(body))
    ((channel, signature, arguments, message),) = wire.dispatched
    assert (channel, signature, message.properties) == (1, spec.Basic.Deliver, {})
    assert loads("sLbss", arguments, 4)[0] == ["tag", 7, True, "", ""]


def test_names_that_are_no_text_stop_nothing() -> None:
    """Whatever exchange and routing key a message came by (E2)."""
    wire = Wire()
    wire.deliver(b"{}", routing_key=b"caf\xe9")
    assert loads("sLbss", wire.dispatched[0][2], 4)[0][:3] == ["tag", 7, True]
    wire.method(spec.Basic.GetOk, dumps("Lbssl", [9, False, b"\xff", b"\xfe", 3]))
    wire.header(0)
    assert loads("Lbssl", wire.dispatched[1][2], 4)[0] == [9, False, "", "", 3]


def test_a_body_that_is_too_large_is_cut() -> None:
    """Its beginning, size and digest are kept, and no more memory than that (E6)."""
    wire, body = Wire(), bytes(range(256)) * 4096
    received = wire.deliver(body)
    assert received == Received(b"\x00\x00", body[:HEAD_BYTES], len(body), hashlib.sha256(body).hexdigest())
    assert wire.deliver(b"y" * MAX) == Received(b"\x00\x00", b"y" * MAX, MAX)


def test_what_was_asked_for_comes_whole() -> None:
    """A reader of results wants all of it, however large."""
    wire, body = Wire(), b"z" * (3 * MAX)
    wire.method(spec.Basic.GetOk, dumps("Lbssl", [9, False, "results", "call.placed", 3]))
    wire.header(len(body), b"\xff\xff")
    assert wire.body(body)
    assert (wire.dispatched[0][3].body, wire.dispatched[0][3].properties) == (body, {})


def test_messages_of_two_channels_come_mixed() -> None:
    """Each message goes to its own channel."""
    wire = Wire()
    for channel in (1, 2):
        wire.method(spec.Basic.Return, b"", channel)
        wire.header(2, channel=channel)
    for channel, part in ((2, b"c"), (1, b"a"), (2, b"d"), (1, b"b")):
        wire.body(part, channel)
    assert [(channel, message.body) for channel, _, _, message in wire.dispatched] == [(2, b"cd"), (1, b"ab")]


def test_a_heartbeat_is_heard_and_no_method() -> None:
    """The connection counts it; between the frames of a message as well."""
    wire = Wire()
    wire.method(spec.Basic.Deliver, dumps("sLbss", ["tag", 7, False, "", ""]))
    assert not wire.frames((8, 0, b""))
    wire.header(0)
    assert wire.connection.bytes_recv == 3 and len(wire.dispatched) == 1


@pytest.mark.parametrize("kind", [2, 3, 5])
def test_frames_out_of_turn_end_the_connection(kind: int) -> None:
    """Frames out of turn raise an error from which the consumer recovers by reconnecting."""
    with pytest.raises(UnexpectedFrame):
        Wire().frames((kind, 1, b"\x00" * 20))
    wire = Wire()
    wire.method(spec.Basic.Deliver, dumps("sLbss", ["tag", 7, False, "", ""]))
    with pytest.raises(UnexpectedFrame):
        wire.method(spec.Channel.Close)
