"""How the receivers of `doors.py` answer."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import socket
import struct
import time
from email.utils import formatdate

from tests.integration.doors import Answer, Talk

SLOW_SECONDS = 14.0
"""Within the time of an attempt, but only just."""

HUGE_BYTES = 100 * 2**20
LINE = b"x-line: " + 200 * b"x" + b"\r\n"


def says(head: str, body: bytes = b"") -> Answer:
    """Answer with these lines and the body's length."""

    async def answer(talk: Talk) -> None:
        await talk.write(f"HTTP/1.1 {head}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)

    return answer


good = says("200 OK", b"{}")
gone = says("410 Gone")
failing = says("500 Internal Server Error", b"<html>not today</html>")
unwilling = says("200 OK\r\nWebhook-Delivery: disable")
overloaded = says("429 Too Many Requests\r\nRetry-After: 2")


async def overloaded_until(talk: Talk) -> None:
    """Name the time as an HTTP date, which has whole seconds."""
    date = formatdate(time.time() + 3, usegmt=True)
    await says(f"429 Too Many Requests\r\nRetry-After: {date}")(talk)


def redirects(url: str) -> Answer:
    return says(f"307 Temporary Redirect\r\nLocation: {url}")


async def hangs(talk: Talk) -> None:
    await talk.until_closed()


async def slow(talk: Talk) -> None:
    await asyncio.sleep(SLOW_SECONDS)
    await good(talk)


async def closes(talk: Talk) -> None:
    talk.writer.close()


async def resets(talk: Talk) -> None:
    sock: socket.socket = talk.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    talk.writer.transport.abort()


def pours(head: bytes, part: bytes, *, pause_seconds: float = 0.0, most_bytes: int | None = None) -> Answer:
    """Send the head, and then the same part again and again, until that is enough or the other side closes."""

    async def answer(talk: Talk) -> None:
        await talk.write(head)
        for sent in itertools.count(0, len(part)):
            if most_bytes is not None and sent >= most_bytes:
                return
            await talk.write(part)
            await asyncio.sleep(pause_seconds)

    return answer


drips_head = pours(b"HTTP/1.1 200 OK\r\nx-drip: ", b"x", pause_seconds=0.2)
drips_body = pours(b"HTTP/1.1 500 No\r\ncontent-length: 60000\r\n\r\n", b"x", pause_seconds=0.2)
endless_header = pours(b"HTTP/1.1 200 OK\r\n", LINE)
endless_line = pours(b"HTTP/1.1 200 OK\r\nx-line: ", 1000 * b"x")
interim_flood = pours(b"", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
huge = pours(
    f"HTTP/1.1 500 No\r\ncontent-length: {HUGE_BYTES}\r\n\r\n".encode(),
    64 * 1024 * b"x",
    most_bytes=HUGE_BYTES,
)
endless_chunks = pours(b"HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1000)
bomb = says("500 No\r\ncontent-encoding: gzip", gzip.compress(bytes(20 * 2**20)))
bursting = pours(b"HTTP/1.1 500 No\r\ncontent-encoding: gzip\r\n\r\n", gzip.compress(bytes(2**20)))


def takes_turns(*answers: Answer) -> Answer:
    """Give the answers in turn, each to one request."""
    turns = itertools.cycle(answers)

    async def answer(talk: Talk) -> None:
        await next(turns)(talk)

    return answer


def sends(data: bytes) -> Answer:
    """Send these bytes and close the connection."""

    async def answer(talk: Talk) -> None:
        await talk.write(data)
        talk.writer.close()

    return answer


odd_but_good = takes_turns(
    sends(b"HTTP/1.1 200\r\n\r\n"),
    sends(b"\r\nHTTP/1.1 200 OK\r\n\r\n"),
    sends(b"HTTP/1.0 201 \r\nserver: x\r\n\r\nwelcome"),
    sends(b"HTTP/1.1 299 \xfe\xff\r\ncontent-length: 3\r\n\r\nabc"),
    sends(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n"),
)
"""Statuses that can be read, on lines that few servers send."""

nonsense = takes_turns(
    sends(b"HTTP/1.1 2000 OK\r\n\r\n"),
    sends(b"ICY 200 OK\r\n\r\n"),
    sends(b"HTTP/1.1 -20 OK\r\n\r\n"),
    sends(b"HTTP/1.1 OK\r\n\r\n"),
    sends(b"\x00\xff\x00\xff" * 100),
    sends(b"200 OK"),
    sends(b"{}"),
)
