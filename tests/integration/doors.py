"""Receivers of webhooks, each on a port of its own, that answer as a test says: well, badly, or never.

They share one event loop in one thread, so thousands of requests may wait for their answers at once.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from standardwebhooks import Webhook

from tests.integration.receiver import local_hook
from tests.processes import BACKLOG

T = TypeVar("T")


@dataclass(frozen=True)
class Post:
    """One request as it came, with header names in lower case, and when it had been read (Unix seconds)."""

    headers: Mapping[str, str]
    body: bytes
    unix: float

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def sequence(self) -> int:
        return int(self.headers["callworker-sequence"])

    def verify(self, *secrets: str) -> None:
        """Check the signature with the subscribers' own library, for each secret. Raises WebhookVerificationError."""
        for secret in secrets:
            Webhook(secret).verify(self.body, dict(self.headers))


@dataclass(frozen=True)
class Talk:
    """One request at a door, and the connection for its answer."""

    door: Door
    post: Post
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def write(self, data: bytes) -> None:
        """Send bytes of an answer, and count them once the other side may have taken them."""
        self.writer.write(data)
        await self.writer.drain()
        self.door.sent_bytes += len(data)

    async def until_closed(self) -> None:
        """Wait until the other side closes the connection."""
        await self.reader.read()
        self.writer.close()


Answer = Callable[[Talk], Awaitable[None]]
"""Answers one request; the connection serves the next one unless the answer closes it."""


class Door:
    """One receiver: what came to it, and what it sent. `reads` is False for one that closes without reading."""

    def __init__(self, name: str, answer: Answer, *, reads: bool = True) -> None:
        self.name, self.answer, self.reads = name, answer, reads
        self.posts: list[Post] = []
        self.connections, self.in_flight, self.most_in_flight, self.sent_bytes = 0, 0, 0, 0
        self.port, self.scheme = 0, "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/{self.name}"

    def hook(self, name: str = "", **fields: Any) -> dict[str, Any]:
        """Return a webhook table of this receiver, with all exceptions that the guard needs for it.

        A receiver may have several webhooks, each with a name and a path of its own. HOOK_1 signs, or a `secret_file`.
        """
        url = f"{self.url}/{name}" if name else self.url
        signs = {} if "secret_file" in fields else {"secret_env": "HOOK_1"}
        return local_hook(url, name=name or self.name, **signs, **fields)

    @property
    def sequences(self) -> list[int]:
        """The numbers of the posts, sorted."""
        return sorted(post.sequence for post in self.posts)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(OSError, asyncio.IncompleteReadError):
            while self.reads and not writer.is_closing():
                await self._take(Talk(self, await _post(reader), reader, writer))
        writer.transport.abort()

    async def _take(self, talk: Talk) -> None:
        self.posts.append(talk.post)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self.answer(talk)
        finally:
            self.in_flight -= 1


class Doors:
    """Opens doors. A context manager."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="doors", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(_cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def open(
        self, name: str, answer: Answer, *, tls: ssl.SSLContext | None = None, reads: bool = True
    ) -> Door:
        """Open a receiver. It speaks HTTPS with `tls`."""
        door = Door(name, answer, reads=reads)
        door.scheme = "http" if tls is None else "https"
        server = self._do(
            asyncio.start_server(door.serve, "127.0.0.1", 0, ssl=tls, backlog=BACKLOG, limit=2**20)
        )
        door.port = int(server.sockets[0].getsockname()[1])
        return door

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)


async def _post(reader: asyncio.StreamReader) -> Post:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.split(": ", 1) for line in head[1:] if line)
    headers = {name.lower(): value for name, value in pairs}
    body = await reader.readexactly(int(headers["content-length"]))
    return Post(headers, body, time.time())


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
