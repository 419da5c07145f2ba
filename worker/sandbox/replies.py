"""The replies that a connection can give: a response, silence, or a reset."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

PLAIN_TEXT = "text/plain; charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response, sent `wait_seconds` after its request was read.

    With `byte_seconds` above 0 the head is sent first, then one byte of the body after each pause of that length. The
    connection is closed afterwards.
    """

    status: int = 200
    content_type: str = PLAIN_TEXT
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    wait_seconds: float = 0.0
    byte_seconds: float = 0.0

    def head(self, *, keep_alive: bool) -> bytes:
        """The status line and headers, including the empty line at their end."""
        fields = (
            ("Server", "callworker-sandbox"),
            ("Date", formatdate(usegmt=True)),
            ("Content-Type", self.content_type),
            ("Content-Length", str(len(self.body))),
            ("Connection", "keep-alive" if keep_alive else "close"),
            *self.headers,
        )
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        return f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n{lines}\r\n".encode("ascii")


@dataclass(frozen=True, slots=True)
class Hold:
    """Gives no answer: the connection stays open until the client leaves or the sandbox stops."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Gives no answer: the connection is ended by a TCP reset."""


Reply = Response | Hold | Reset


def plain(status: int, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """A response whose body is the phrase of the status: neither `response` nor `failed`."""
    return Response(status, body=f"{HTTPStatus(status).phrase}\n".encode(), headers=headers)
