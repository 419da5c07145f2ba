"""Reads one HTTP/1.1 request from a connection: the part of RFC 9112 that ordinary HTTP clients use.

Known weakness: a form must be `application/x-www-form-urlencoded`; a multipart body counts as empty. Targets in
absolute form, which only proxies receive, are not understood.
"""

from __future__ import annotations

import re
from asyncio import LimitOverrunError, StreamReader, StreamWriter
from dataclasses import dataclass
from urllib.parse import parse_qsl

MAX_HEAD_BYTES = 65_536
MAX_BODY_BYTES = 65_536

_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) ([^\s]+) HTTP/1\.([01])")
_LENGTH = re.compile(r"[0-9]{1,9}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?\r\n")


class Unreadable(Exception):
    """Signals bytes that are not a request that can be served: answer with `status` and close the connection."""

    def __init__(self, status: int) -> None:
        super().__init__(f"answered with HTTP {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """One complete request. `query` and `body` are still percent-encoded."""

    method: str
    path: str
    query: bytes
    body: bytes
    keep_alive: bool

    def form(self) -> dict[str, str]:
        """The fields of the query and, for a POST, of the body, which take precedence. Of a repeated field the last."""
        body = self.body if self.method == "POST" else b""
        return _fields(self.query) | _fields(body)


async def read_request(reader: StreamReader, writer: StreamWriter) -> Request:
    """Read the next request. `writer` is used only to answer a client that expects a 100 before it sends the body.

    Raises Unreadable, and IncompleteReadError if the client leaves before its request is complete.
    """
    line, _, rest = (await _read_head(reader)).partition(b"\r\n")
    matched = _REQUEST_LINE.fullmatch(line)
    if matched is None:
        raise Unreadable(400)
    method, target, minor = matched.groups()
    headers = _headers(rest)
    path, _, query = target.partition(b"?")
    return Request(
        method=method.decode(),
        path=path.decode("utf-8", "replace"),
        query=query,
        body=await _read_body(headers, reader, writer),
        # Every reply has a body, and after HEAD a client would take it for the next reply.
        keep_alive=method != b"HEAD" and _keeps_alive(headers.get("connection", ""), minor),
    )


async def _read_head(reader: StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except LimitOverrunError as error:
        raise Unreadable(431) from error


def _headers(lines: bytes) -> dict[str, str]:
    """Header values by lower-case name. A line without a colon is ignored."""
    pairs = (line.partition(":") for line in lines.decode("latin-1").split("\r\n"))
    return {name.lower(): value.strip() for name, colon, value in pairs if colon}


def _keeps_alive(connection: str, minor_version: bytes) -> bool:
    wish = connection.lower()
    return "close" not in wish if minor_version == b"1" else "keep-alive" in wish


def _fields(encoded: bytes) -> dict[str, str]:
    text = encoded.decode("utf-8", "replace")
    return dict(parse_qsl(text, keep_blank_values=True, errors="replace"))


async def _read_body(headers: dict[str, str], reader: StreamReader, writer: StreamWriter) -> bytes:
    chunked = headers.get("transfer-encoding", "").lower() == "chunked"
    length = 0 if chunked else _content_length(headers)
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return await (_read_chunks(reader) if chunked else reader.readexactly(length))


def _content_length(headers: dict[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise Unreadable(501)
    text = headers.get("content-length", "0")
    if not _LENGTH.fullmatch(text):
        raise Unreadable(400)
    return _within_limit(int(text))


def _within_limit(length_bytes: int) -> int:
    if length_bytes > MAX_BODY_BYTES:
        raise Unreadable(413)
    return length_bytes


async def _read_chunks(reader: StreamReader) -> bytes:
    body = bytearray()
    while size := _chunk_size(await _read_line(reader)):
        _within_limit(len(body) + size)
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise Unreadable(400)
    while await _read_line(reader) != b"\r\n":
        continue
    return bytes(body)


def _chunk_size(line: bytes) -> int:
    matched = _CHUNK_SIZE.fullmatch(line)
    if matched is None:
        raise Unreadable(400)
    return int(matched[1], 16)


async def _read_line(reader: StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n")
    except LimitOverrunError as error:
        raise Unreadable(400) from error
