"""A receiver of webhooks that answers at once, never, or a byte a second, by the path of the request.

    python -m ops.bench.receiver PORT

`/hang` is never answered, and the body of `/drip` takes longer than any sender waits. Every other POST is answered at
once. `GET /log` has a line for each of those: Unix seconds, and the event's `timestamp`.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time

from ops.bench.provider import reply

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_DRIP_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


class Receiver:
    """The events so far."""

    def __init__(self) -> None:
        self._events: list[tuple[float, bytes]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests until its end."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                await self._answer(head, await reader.readexactly(int(length[1]) if length else 0), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _answer(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        path = head.split(b" ", 2)[1]
        if path == b"/hang":
            return
        if path == b"/drip":
            await _drip(writer)
        elif head.startswith(b"GET"):
            writer.write(reply(self._log(), "text/plain"))
        else:
            self._events.append((time.time(), body))
            writer.write(reply(b"{}"))

    def _log(self) -> bytes:
        rows = ((unix, json.loads(body)["timestamp"]) for unix, body in self._events)
        return "".join(f"{unix:.6f} {timestamp}\n" for unix, timestamp in rows).encode()


async def _drip(writer: asyncio.StreamWriter) -> None:
    writer.write(_DRIP_HEAD)
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(1)


async def serve(port: int) -> None:
    """Serve on loopback until the process is ended."""
    server = await asyncio.start_server(Receiver().serve, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
