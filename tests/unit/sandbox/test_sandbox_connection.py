"""One connection at a time, on parts that the test feeds by hand."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any, cast

from worker.sandbox.connection import Connection
from worker.sandbox.provider import Provider
from worker.sandbox.request_log import RequestLog
from worker.sandbox.routes import Routes

from .sandbox_client import KEY

DRIP = f"GET /telephonecall.xml?key={KEY}&country=1&phone=2025550011&code=123 HTTP/1.1\r\n\r\n".encode()
HEALTH = b"GET /_health HTTP/1.1\r\n\r\n"


class Writer:
    """Takes what a connection writes; is its own transport and socket."""

    def __init__(self, log: RequestLog | None = None) -> None:
        self.log = log
        self.written: list[bytes] = []
        self.options: list[tuple[Any, ...]] = []
        self.logged_at_first_byte: int | None = None

    def write(self, data: bytes) -> None:
        if self.log and not self.written:
            self.logged_at_first_byte = len(self.log.records())
        self.written.append(data)

    async def drain(self) -> None:
        return None

    def close(self) -> None:
        return None

    def get_extra_info(self, name: str) -> Writer:
        return self

    def setsockopt(self, *option: Any) -> None:
        self.options.append(option)


def serve(reader: asyncio.StreamReader, writer: Writer, sleep: Any, log: RequestLog | None = None) -> Any:
    routes = Routes(Provider(), log or RequestLog())
    return Connection(reader, cast(asyncio.StreamWriter, writer), routes, sleep, time.time).serve()


def test_drip_ends_when_the_client_leaves() -> None:
    """After the client's end of stream no further byte is written and no further pause is made."""
    pauses: list[float] = []
    writer = Writer()

    async def scenario() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(DRIP)

        async def sleep(pause_seconds: float) -> None:
            pauses.append(pause_seconds)
            if len(pauses) == 3:
                reader.feed_eof()

        await serve(reader, writer, sleep)

    asyncio.run(scenario())
    head, *body = writer.written
    assert head.endswith(b"\r\n\r\n")
    assert (b"".join(body), len(pauses)) == (b"<?", 3)


def test_request_is_logged_before_the_answers_first_byte() -> None:
    """The record is in the log when the first byte is written."""
    log = RequestLog()
    writer = Writer(log)

    async def scenario() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(DRIP.replace(b"0011", b"0199"))
        reader.feed_eof()
        await serve(reader, writer, asyncio.sleep, log)

    asyncio.run(scenario())
    assert writer.logged_at_first_byte == 1


def test_connection_sends_small_packets_at_once() -> None:
    """Nagle's algorithm is off, so that an answer never waits for an acknowledgement."""
    writer = Writer()

    async def scenario() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(HEALTH)
        reader.feed_eof()
        await serve(reader, writer, asyncio.sleep)

    asyncio.run(scenario())
    assert (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) in writer.options


def test_pipelined_requests_are_answered_in_order() -> None:
    """Requests that arrive in one packet get one answer each."""
    writer = Writer()

    async def scenario() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(HEALTH + HEALTH.replace(b"_health", b"nothing") + HEALTH)
        reader.feed_eof()
        await serve(reader, writer, asyncio.sleep)

    asyncio.run(scenario())
    assert [written.split()[1] for written in writer.written] == [b"200", b"404", b"200"]
