"""Takes messages from the frames of an AMQP connection without decoding them.

py-amqp decodes a message's properties in the connection's loop. A message that it cannot decode ends the consumer, at
every start, before it is known which message it was. py-amqp also keeps a whole body in memory, however large. Here
nothing that a producer wrote is decoded, and only the beginning of a body that is too large is kept.

Source: AMQP 0-9-1, sections 2.3.5 (frames) and 4.2.6 (content).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from struct import unpack_from
from typing import Any

import amqp
from amqp import spec
from amqp.exceptions import UnexpectedFrame

HEAD_BYTES = 8192
"""How much is kept of a body that is too large: its beginning."""

_METHOD, _HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
_HEADER_BYTES = 12
_NO_NAMES = b"\x00\x00"
"""Empty exchange and routing key. They replace the real ones, which are not used and may not be text."""

Frame = tuple[int, int, bytes]
"""Type, channel and payload of a frame."""
Signature = tuple[int, int]
Dispatch = Callable[[int, Signature, bytes, Any], object]
"""Handles a method, given its channel, signature, arguments and content."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message as it was delivered, with undecoded properties.

    `size` is the size of the whole body in bytes. If the body is too large, `body` is its beginning and `digest` the
    SHA-256 of the whole in hex; otherwise `digest` is empty.
    """

    properties: bytes
    body: bytes
    size: int
    digest: str = ""


class _Content:
    """A message whose frames are still coming."""

    def __init__(self, method: Signature, arguments: bytes, most: int) -> None:
        self.method, self.arguments, self._most = method, arguments, most
        self._parts: list[bytes] = []
        self._properties, self._size, self._come = b"", 0, 0
        self._digest: Any = None

    def header(self, payload: bytes) -> None:
        (self._size,) = unpack_from(">Q", payload, 4)
        self._properties = bytes(payload[_HEADER_BYTES:])
        if self._size > self._most:
            self._digest = hashlib.sha256()

    def part(self, payload: bytes) -> None:
        if self._digest is not None:
            self._digest.update(payload)
            self._parts.append(bytes(payload[: max(HEAD_BYTES - self._come, 0)]))
        else:
            self._parts.append(bytes(payload))
        self._come += len(payload)

    @property
    def complete(self) -> bool:
        return self._come >= self._size

    def received(self) -> Received:
        digest = self._digest.hexdigest() if self._digest is not None else ""
        return Received(self._properties, b"".join(self._parts), self._size, digest)


class Frames:
    """Handles the frames of one connection, in place of py-amqp's handler. For one thread.

    The body of a delivered message is a `Received`; it is cut if it has more than `most` bytes. A message that was
    asked for with `get`, or that the broker returned, has its own whole body. No message has properties, and its
    method names no exchange and no routing key.
    """

    def __init__(self, connection: Any, dispatch: Dispatch, most: int) -> None:
        self._connection, self._dispatch, self._most = connection, dispatch, most
        self._contents: dict[int, _Content] = {}

    def __call__(self, frame: Frame) -> bool:
        """Handle a frame; return True if it completed a method.

        Raises what the method's handler raises, or UnexpectedFrame.
        """
        kind, channel, payload = frame
        self._connection.bytes_recv += 1
        if kind == _HEARTBEAT:
            return False
        if kind == _METHOD and channel not in self._contents:
            return self._method(channel, payload)
        content = self._contents.get(channel)
        if content is None or kind not in (_HEADER, _BODY):
            raise UnexpectedFrame(f"a frame of type {kind} came where none is expected")
        (content.header if kind == _HEADER else content.part)(payload)
        if not content.complete:
            return False
        del self._contents[channel]
        self._dispatch(channel, content.method, content.arguments, _message(content))
        return True

    def _method(self, channel: int, payload: bytes) -> bool:
        signature: Signature = unpack_from(">HH", payload, 0)
        if signature not in _NAMELESS:
            self._dispatch(channel, signature, payload, None)
            return True
        most = self._most if signature == spec.Basic.Deliver else 1 << 64
        self._contents[channel] = _Content(signature, _NAMELESS[signature](payload), most)
        return False


def _message(content: _Content) -> amqp.Message:
    received, message = content.received(), amqp.Message()
    message.properties = {}
    message.body = received if content.method == spec.Basic.Deliver else received.body
    return message


def _delivered(arguments: bytes) -> bytes:
    """Keep consumer tag, delivery tag and whether the message was delivered before; empty the names."""
    return arguments[: 5 + arguments[4] + 9] + _NO_NAMES


def _asked_for(arguments: bytes) -> bytes:
    """Keep delivery tag, whether the message was delivered before, and how many are left; empty the names."""
    return arguments[:13] + _NO_NAMES + arguments[-4:]


def _returned(arguments: bytes) -> bytes:
    """Keep all: the broker's code and text, and the names with which this program published the message."""
    return arguments


_NAMELESS: dict[Signature, Callable[[bytes], bytes]] = {
    spec.Basic.Deliver: _delivered,
    spec.Basic.GetOk: _asked_for,
    spec.Basic.Return: _returned,
}
