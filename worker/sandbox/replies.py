"""What goes back over a connection: a response, silence, or a reset."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

PLAIN_TEXT = "text/plain; charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response, sent ``wait_seconds`` after its request was read.

    With ``byte_seconds`` above 0 the head goes out first, and then one byte of the body after each pause
    of that length; the connection is closed afterwards.
    """

    status: int = 200
    content_type: str = PLAIN_TEXT
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    wait_seconds: float = 0.0
    byte_seconds: float = 0.0

    def head(self, *, keep_alive: bool) -> bytes:
        """Status line and headers, up to and with the empty line."""
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
    """No answer: the connection stays open until the client leaves or the sandbox stops."""


@dataclass(frozen=True, slots=True)
class Reset:
    """No answer: the connection is torn down with a TCP reset."""


Reply = Response | Hold | Reset


def plain(status: int, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """A response whose body is the status' own phrase: neither ``response`` nor ``failed``."""
    return Response(status, body=f"{HTTPStatus(status).phrase}\n".encode(), headers=headers)
