"""The messages of an AMQP connection, taken from its frames as they came.

py-amqp decodes a message's properties in the connection's own loop: what it cannot decode ends the consumer, at every
start, before anybody knows which message it was. It also keeps a body whole, however large. Here nothing of what a
producer wrote is decoded, and of what is too large only the beginning is kept.

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
"""What is kept of a body that is too large."""

_METHOD, _HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
_HEADER_BYTES = 12
_NO_NAMES = b"\x00\x00"
"""Exchange and routing key, both empty: nobody here asks for them, and they need not be text."""

Frame = tuple[int, int, bytes]
"""Kind, channel, payload."""
Signature = tuple[int, int]
Dispatch = Callable[[int, Signature, bytes, Any], object]
"""Where methods go: channel, which method, its arguments, its content."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message as it was delivered, its properties undecoded.

    Of a body that is too large `body` is the beginning; `size` tells of all of it, as does `digest`, its SHA-256 in
    hex, which is empty where `body` is whole.
    """

    properties: bytes
    body: bytes
    size: int
    digest: str = ""


class _Content:
    """A message whose frames are coming."""

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

    A delivery has as its body a `Received`, whose body is cut where it is larger than `most` bytes. What was asked for
    or came back has its own body, whole. None has properties, and no method names an exchange or a routing key.
    """

    def __init__(self, connection: Any, dispatch: Dispatch, most: int) -> None:
        self._connection, self._dispatch, self._most = connection, dispatch, most
        self._contents: dict[int, _Content] = {}

    def __call__(self, frame: Frame) -> bool:
        """True where a method was complete and is done with. Raises what it raises, or UnexpectedFrame."""
        kind, channel, payload = frame
        self._connection.bytes_recv += 1
        if kind == _HEARTBEAT:
            return False
        if kind == _METHOD and channel not in self._contents:
            return self._method(channel, payload)
        content = self._contents.get(channel)
        if content is None or kind not in (_HEADER, _BODY):
            raise UnexpectedFrame(f"a frame of type {kind} came where none is due")
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
    """Consumer tag, delivery tag, whether it was delivered before."""
    return arguments[: 5 + arguments[4] + 9] + _NO_NAMES


def _asked_for(arguments: bytes) -> bytes:
    """Delivery tag, whether it was delivered before; and behind the names how many are left."""
    return arguments[:13] + _NO_NAMES + arguments[-4:]


def _returned(arguments: bytes) -> bytes:
    """Code and text of the broker, and the names that the message was published with: these are our own."""
    return arguments


_NAMELESS: dict[Signature, Callable[[bytes], bytes]] = {
    spec.Basic.Deliver: _delivered,
    spec.Basic.GetOk: _asked_for,
    spec.Basic.Return: _returned,
}
