"""An AMQP broker for one connection: opens it and its channels, and announces the properties that a test gives it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from struct import pack, unpack
from typing import Any

from amqp.serialization import dumps

START, OPENED, TUNED = (10, 10), (10, 41), (10, 30)
_END = b"\xce"

ANSWERS: Mapping[tuple[int, int], tuple[tuple[int, int], bytes]] = {
    (10, 11): (TUNED, pack(">HIH", 10, 131072, 0)),
    (10, 40): (OPENED, b"\x00"),
    (10, 50): ((10, 51), b""),
    (20, 10): ((20, 11), b"\x00\x00\x00\x00"),
    (20, 40): ((20, 41), b""),
}
"""The answer to each method of the client. Source: AMQP 0-9-1, section 1.4."""


@contextmanager
def amqp_broker(properties: Mapping[str, Any]) -> Iterator[str]:
    """Start a broker that announces these `server-properties` to one connection, and give its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_serve, args=(listening, properties), daemon=True)
        thread.start()
        yield f"amqp://guest:guest@127.0.0.1:{listening.getsockname()[1]}//"
        thread.join(10)


def _serve(listening: socket.socket, properties: Mapping[str, Any]) -> None:
    client, _ = listening.accept()
    with client, client.makefile("rb") as frames:
        frames.read(8)
        started = dumps("ooFSS", [0, 9, dict(properties), "PLAIN AMQPLAIN", "en_US"])
        client.sendall(_frame(0, START, started))
        while head := frames.read(7):
            _, channel, size = unpack(">BHI", head)
            asked = frames.read(size + 1)
            if answer := ANSWERS.get(unpack(">HH", asked[:4])):
                client.sendall(_frame(channel, *answer))


def _frame(channel: int, method: tuple[int, int], arguments: bytes) -> bytes:
    payload = pack(">HH", *method) + arguments
    return pack(">BHI", 1, channel, len(payload)) + payload + _END
