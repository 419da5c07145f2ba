"""A cheap provider that answers every POST with a ref after a given time, and counts the requests.

    python -m ops.bench.provider PORT LATENCY_MS [log]

Calls to a number that begins with 9 are never answered. The first call to each number that begins with 8 is answered
with 503. `GET /count` returns how many requests came. With `log` they are remembered, and `GET /log` has a line for
each: Unix seconds, key, phone. Requests must have a Content-Length and wait for the previous answer, as those of this
bench do.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from urllib.parse import parse_qs

ANSWER = b'{"version":"1.0","encoding":"UTF-8","response":{"ref":"97A677DD3E0A42B8EA58D93D05BAC89F"}}'  # as documented
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_HANGS = re.compile(rb"(?:^|&)phone=9")
_FAILS_ONCE = re.compile(rb"(?:^|&)phone=(8[0-9]*)")
_OVERLOADED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
_END = b"\r\n\r\n"

Call = tuple[float, bytes]
"""When a request was there (Unix seconds), and its body."""


class Served:
    """The requests so far."""

    def __init__(self, remember: bool) -> None:
        self.count = 0
        self._calls: list[Call] = []
        self._remember = remember
        self._failed: set[bytes] = set()

    def fails(self, body: bytes) -> bool:
        """Return whether this is the first call to a number that fails once."""
        found = _FAILS_ONCE.search(body)
        if found is None or found[1] in self._failed:
            return False
        self._failed.add(found[1])
        return True

    def add(self, body: bytes) -> None:
        self.count += 1
        if self._remember:
            self._calls.append((time.time(), body))

    def log(self) -> bytes:
        """Note when a request came, and the key and phone of its form."""
        rows = ((unix, parse_qs(body.decode())) for unix, body in self._calls)
        return "".join(f"{unix:.6f} {form['key'][0]} {form['phone'][0]}\n" for unix, form in rows).encode()


def reply(body: bytes, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, served: Served, latency_seconds: float) -> None:
        self._served, self._latency_seconds = served, latency_seconds
        self._received = b""
        self._call = reply(ANSWER)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (asyncio guarantees it for TCP)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, rest = self._received.partition(_END)
        if not end:
            return
        length = _LENGTH.search(head)
        body_bytes = int(length[1]) if length else 0
        if len(rest) >= body_bytes:
            self._received = rest[body_bytes:]
            self._serve(head, rest[:body_bytes])

    def _serve(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET /count"):
            self._transport.write(reply(b"%d" % self._served.count, "text/plain"))
        elif head.startswith(b"GET /log"):
            self._transport.write(reply(self._served.log(), "text/plain"))
        else:
            self._served.add(body)
            if not _HANGS.search(body):
                self._answer(_OVERLOADED if self._served.fails(body) else self._call)

    def _answer(self, answer: bytes) -> None:
        if self._latency_seconds:
            asyncio.get_running_loop().call_later(self._latency_seconds, self._transport.write, answer)
        else:
            self._transport.write(answer)


async def serve(port: int, latency_seconds: float, remember: bool) -> None:
    """Serve on loopback until the process is ended."""
    served = Served(remember)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Client(served, latency_seconds), "127.0.0.1", port, backlog=4096
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]) / 1000, "log" in sys.argv))
