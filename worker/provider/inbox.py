"""An HTTP answer read under a deadline and a size cap."""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import FunctionType
from typing import IO, Any, Self, cast

from worker.provider.phases import ANSWER_BYTES, Exchange
from worker.provider.waiting import once_readable

HEADER_LINES_MOST = 100


class _Incoming(io.RawIOBase):
    """A socket's bytes: each read waits no longer than the exchange has left, and counts what came.

    A socket's own timeout starts anew with each byte, so that a drip would be read for ever.
    """

    def __init__(self, sock: socket.socket, exchange: Exchange) -> None:
        self._sock = sock
        self._exchange = exchange
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.ended:
            return None
        count = once_readable(self._sock, partial(self._sock.recv_into, buffer), self._exchange)
        self._exchange.take(count)
        return count


class _Inbox(io.BufferedReader):
    """Notes, when it is closed, whether more had come than the answer took."""

    surplus = False

    def close(self) -> None:
        if not self.closed:
            cast(_Incoming, self.raw).ended = True
            self.surplus = bool(self.peek(1))
        super().close()


class _Source:
    """What http.client takes for the socket."""

    def __init__(self, inbox: _Inbox) -> None:
        self._inbox = inbox

    def makefile(self, _mode: str) -> IO[bytes]:
        return cast("IO[bytes]", self._inbox)


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer that was read whole. `headers` are looked up in any case of letters; `body` is not yet decoded."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Headers(dict[str, str]):
    """Header fields by name in any case of letters; the first one counts where a name stands several times."""

    @classmethod
    def read(cls, lines: IO[bytes]) -> Self:
        """The header that comes next, read as leniently as the standard library does.

        Raises HTTPException where it gives two lengths, or has too many lines.
        """
        headers, name = cls(), ""
        for _ in range(HEADER_LINES_MOST):
            line = lines.readline().decode("latin-1").rstrip()
            if not line:
                return headers
            before, colon, value = line.partition(":")
            if line[0] in " \t" and name:
                headers[name] += f" {line.lstrip()}"
            elif colon:
                name, value = before.strip().lower(), value.lstrip()
                if headers.setdefault(name, value) != value and name == "content-length":
                    raise http.client.HTTPException("two lengths")
        raise http.client.HTTPException("too long a header")

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


class BoundedAnswer(http.client.HTTPResponse):
    """The answer to `exchange`, a POST, as it comes in."""

    begin = FunctionType(
        http.client.HTTPResponse.begin.__code__, {**vars(http.client), "parse_headers": Headers.read}
    )
    """The library's own, but for the header, which it reads with a parser of e-mails, as slow as all else in a call."""

    def __init__(self, sock: socket.socket, exchange: Exchange) -> None:
        self._inbox = _Inbox(_Incoming(sock, exchange))
        super().__init__(cast(socket.socket, _Source(self._inbox)), method="POST")

    @property
    def surplus(self) -> bool:
        """True if bytes followed the answer: the next answer on this connection could be a stray one."""
        return self._inbox.surplus

    def read_whole(self) -> bytes:
        """The body as sent. Raises IncompleteRead for one cut short, TooLarge, TimeoutError."""
        body = self.read(ANSWER_BYTES + 1)
        if self.length or (self.chunked and not self.isclosed()):
            raise http.client.IncompleteRead(b"")
        self.close()
        return body
