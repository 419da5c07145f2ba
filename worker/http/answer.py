"""Reads the answer to a request, within the request's deadline and bounds.

Source: RFC 9110, 15.2 (interim answers); RFC 9112, 4 (status line), 6.3 (length of a body), 7.1 (chunks) and 9.3 (the
end of a connection).
"""

from __future__ import annotations

import http.client
import io
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

from worker.http.heads import Headers
from worker.http.oddities import Oddity
from worker.http.phases import Exchange, Phase, TooLarge
from worker.http.waiting import gather, once_readable

MAX_INTERIM_ANSWERS = 100
MAX_LINES = 2000
"""The most lines of an answer: status lines, fields, sizes of chunks. A line takes as long as kilobytes of a body."""

FREE_READS, GATHER_SECONDS = 64, 0.02
"""After so many reads of an answer, bytes gather for so long before each: one byte takes as long as kilobytes."""

_STATUS_LINE = re.compile(rb"\s*HTTP/(0\.9|1\.[0-9]+)\s+([1-9][0-9]{2})(?:\s.*)?", re.DOTALL)
_CHUNK_SIZE = re.compile(rb"\s*([0-9A-Fa-f]{1,16})\s*(?:;.*)?", re.DOTALL)
_BLANK_LINES = (b"\r\n", b"\n")
"""Before a status line: what some servers send behind the body of the answer before."""
_SWITCHING_PROTOCOLS = 101
_TASTE_BYTES = 256
"""What is still read of a body that is too long."""
_WITHOUT_BODY = (_SWITCHING_PROTOCOLS, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class _Incoming(io.RawIOBase):
    """The bytes of a socket. Each read waits until the exchange's deadline at most, and counts the bytes that came.

    The timeout of a socket starts again with each byte, so a server that sends slowly would be read forever. A server
    that sends each byte alone has few reads a second, so that it takes no time from other exchanges.
    """

    def __init__(self, sock: socket.socket, exchange: Exchange) -> None:
        self._sock, self._exchange = sock, exchange
        self._reads, self.ended = 0, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read into `buffer`. Returns None once `ended` is set, as for a socket without bytes.

        Raises TimeoutError and TooLarge.
        """
        if self.ended:
            return None
        self._reads += 1
        if self._reads > FREE_READS:
            gather(GATHER_SECONDS, self._exchange)
        count = once_readable(self._sock, partial(self._sock.recv_into, buffer), self._exchange)
        self._exchange.take(count)
        return count


class _Stream(io.BufferedReader):
    """What was read and is not used yet. Raises HTTPException after `MAX_LINES` lines."""

    _lines = 0

    def readline(self, size: int | None = -1, /) -> bytes:
        self._lines += 1
        if self._lines > MAX_LINES:
            raise http.client.HTTPException("too many lines")
        return super().readline(size)


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer that was read whole. `headers` ignore the case of names. `body` is not decoded yet.

    `oddities` are those noticed so far; the code that reads the body adds to them.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    oddities: set[Oddity] = field(default_factory=set)


class Answer:
    """The answer to a POST. The constructor reads its head; `body` reads its body.

    `closes` is true if nothing can follow the answer on its connection.
    """

    def __init__(self, sock: socket.socket, exchange: Exchange) -> None:
        """Read the head, after all interim answers. Raises OSError and HTTPException, also for too many of these."""
        self._exchange, self._incoming = exchange, _Incoming(sock, exchange)
        self._stream = _Stream(self._incoming)
        self._interim_answers, self._blank_lines, self._received = 0, False, bytearray()
        self.status, self.headers, self.closes = self._head()
        exchange.phase, exchange.status = Phase.STATUS_READ, self.status

    def body(self, most_bytes: int) -> bytes:
        """Read the whole body, as it was sent.

        Raises IncompleteRead if it is cut short, TooLarge, TimeoutError, and HTTPException if two lengths are given.
        Bytes after the body may belong to a stray answer and count as the oddity SURPLUS.
        """
        if self.headers.contradictory:
            raise http.client.HTTPException("two lengths")
        self._read_whole(most_bytes)
        self._exchange.phase = Phase.BODY_READ
        self._exchange.oddities |= self._oddities()
        return bytes(self._received)

    def beginning(self, most_bytes: int) -> bytes:
        """Return the first bytes of the body that have come, also if `body` has raised since."""
        return bytes(self._received[:most_bytes])

    def _oddities(self) -> set[Oddity]:
        self._incoming.ended = True
        seen = {
            Oddity.HEAD: self._interim_answers > 0 or self._blank_lines or self.headers.odd,
            Oddity.SURPLUS: bool(self._stream.peek(1)),
        }
        return {oddity for oddity, is_so in seen.items() if is_so}

    def _head(self) -> tuple[int, Headers, bool]:
        while self._interim_answers <= MAX_INTERIM_ANSWERS:
            version, status = self._status_line()
            headers = Headers.read(self._stream)
            if not 100 <= status < 200 or status == _SWITCHING_PROTOCOLS:
                return status, headers, _closes(version, status, headers)
            self._interim_answers += 1
        raise http.client.HTTPException("too many interim answers")

    def _status_line(self) -> tuple[bytes, int]:
        while (line := self._stream.readline()) in _BLANK_LINES:
            self._blank_lines = True
        if not line:
            raise http.client.RemoteDisconnected("closed without an answer")
        matched = _STATUS_LINE.fullmatch(line)
        if matched is None:
            raise http.client.BadStatusLine("")
        return matched[1], int(matched[2])

    def _read_whole(self, most_bytes: int) -> None:
        if self.status in _WITHOUT_BODY:
            return
        if self.headers.chunked:
            self._read_chunks(most_bytes)
        elif (length := self.headers.length) is not None:
            self._read_exactly(length, most_bytes)
        elif not self._missing_after(most_bytes + 1):
            raise TooLarge

    def _read_chunks(self, most_bytes: int) -> None:
        """Read chunk by chunk. The trailer after the last chunk is skipped."""
        while size := self._chunk_size():
            self._read_exactly(size, most_bytes - len(self._received))
            if self._stream.readline().strip():
                raise http.client.IncompleteRead(b"")
        while self._stream.readline().strip():
            continue

    def _chunk_size(self) -> int:
        matched = _CHUNK_SIZE.fullmatch(self._stream.readline())
        if matched is None:
            raise http.client.IncompleteRead(b"")
        return int(matched[1], 16)

    def _read_exactly(self, size: int, most_bytes: int) -> None:
        if size > most_bytes:
            self._missing_after(min(most_bytes, _TASTE_BYTES))
            raise TooLarge
        if self._missing_after(size):
            raise http.client.IncompleteRead(b"")

    def _missing_after(self, size: int) -> int:
        """Read up to `size` bytes of the body, and return how many were missing at the end of the stream."""
        while size and (part := self._stream.read1(size)):
            self._received += part
            size -= len(part)
        return size


def _closes(version: bytes, status: int, headers: Headers) -> bool:
    """Whether the server closes the connection after the answer, or continues in another protocol."""
    connection = headers.get("connection", "").lower()
    if "keep-alive" not in connection if version < b"1.1" else "close" in connection:
        return True
    ends = headers.chunked or headers.length is not None or status in _WITHOUT_BODY
    return status == _SWITCHING_PROTOCOLS or not ends
