"""An HTTP answer read under a deadline and a size cap."""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any, cast

from worker.http.heads import FinalAnswer, Headers
from worker.http.oddities import Oddity
from worker.http.phases import ANSWER_BYTES, Exchange
from worker.http.waiting import once_readable


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
    """An HTTP answer that was read whole. `headers` are looked up in any case of letters; `body` is not yet decoded.

    `oddities` are those noticed so far; whoever reads the body adds to them.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    oddities: set[Oddity] = field(default_factory=set)


class BoundedAnswer(FinalAnswer):
    """The answer to `exchange`, a POST, as it comes in."""

    def __init__(self, sock: socket.socket, exchange: Exchange) -> None:
        self._inbox = _Inbox(_Incoming(sock, exchange))
        super().__init__(cast(socket.socket, _Source(self._inbox)), method="POST")

    def begin(self) -> None:
        """Read the head. Raises HTTPException, also for two lengths: nobody can tell where the body ends."""
        super().begin()
        if cast(Headers, self.headers).contradictory:
            raise http.client.HTTPException("two lengths")

    def oddities(self) -> set[Oddity]:
        """What was odd about the answer, once it is read. Bytes that followed it could be a stray answer's."""
        seen = {Oddity.HEAD: self.odd, Oddity.SURPLUS: self._inbox.surplus}
        return {oddity for oddity, is_so in seen.items() if is_so}

    def read_whole(self) -> bytes:
        """The body as sent. Raises IncompleteRead for one cut short, TooLarge, TimeoutError."""
        body = self.read(ANSWER_BYTES + 1)
        if self.length or (self.chunked and not self.isclosed()):
            raise http.client.IncompleteRead(b"")
        self.close()
        return body
