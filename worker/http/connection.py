"""urllib3 connections that know how far the request has come.

What they change: the request is put together, then the gate is passed, then it is written in one go; every wait
has a share of one deadline; the answer is read whole, within the size cap, before anyone may use the connection again.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from functools import partial
from time import monotonic
from typing import Any, cast

import urllib3.connection
from urllib3.util.connection import allowed_gai_family

from worker.errors import SlotLapsed
from worker.failpoints import hit, is_armed
from worker.http.heads import Headers
from worker.http.inbox import BoundedAnswer, Reply
from worker.http.phases import Exchange, NothingSent, Phase, current
from worker.http.waiting import connect, once_writable, resolve

REUSE_SECONDS, KEEP_SECONDS = 3.0, 4.0
"""The longest that a connection may lie idle when it is taken, and when it is written to: servers commonly close
theirs after 5 s or more. What lies between the two is room for the gate: to reconnect behind it makes a request late.
"""

LATE_SECONDS = 0.002
"""How long a reconnection behind the gate may take. What is sent later misses its slot, and could break the limit."""


class CertificateRefused(Exception):
    """The server's certificate is not one to be trusted; the message says why."""


class PhasedHTTPConnection(urllib3.connection.HTTPConnection):
    """Plain HTTP. Used by one thread or greenlet at a time, for the exchange under way there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._idle_since = 0.0
        self._used = False

    def connect(self) -> None:
        """Resolve and connect within the exchange's connect bound."""
        current().start_connecting()
        super().connect()
        self._idle_since = monotonic()
        self._used = False

    def _new_conn(self) -> socket.socket:
        exchange = current()
        exchange.phase = Phase.RESOLVING
        found = resolve(self._dns_host.strip("[]"), self.port, allowed_gai_family(), exchange)
        exchange.phase = Phase.CONNECTING
        return self._first_to_answer(found)

    def _first_to_answer(self, found: list[Any]) -> socket.socket:
        """A socket to the first address that takes the connection; each gets its share of the time left."""
        problem: OSError = socket.gaierror(socket.EAI_NONAME, "the name has no address")
        for tried, (family, kind, protocol, _, address) in enumerate(found):
            share_seconds = current().remaining_seconds() / (len(found) - tried)
            try:
                return self._open(socket.socket(family, kind, protocol), address, share_seconds)
            except OSError as error:
                problem = error
        raise problem

    def _open(self, sock: socket.socket, address: Any, seconds: float) -> socket.socket:
        try:
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            connect(sock, address, seconds)
        except BaseException:
            sock.close()
            raise
        return sock

    @property
    def is_connected(self) -> bool:
        """False for a connection that is closed, was lost, or lay idle too long. urllib3 asks before each reuse."""
        return self.sock is not None and self._idle_seconds() < REUSE_SECONDS and self._is_silent()

    def _idle_seconds(self) -> float:
        return monotonic() - self._idle_since

    def _is_silent(self) -> bool:
        """True while the server has neither closed nor said anything unasked, which would be read as our answer.

        Reads instead of polling: TLS session tickets make a healthy socket readable.
        """
        try:
            self.sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        except OSError:
            return False
        return False

    def request(  # type: ignore[override]
        self, method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None, **_: Any
    ) -> None:
        """Connect if need be, build the request, pass the gate, write. Writes nothing if the gate refuses.

        All that can be done before the gate is: a slot is short, and what comes after the gate makes the request late.
        `body` is bytes; `headers` are all there are, Host included.
        """
        exchange = current()
        if self.sock is None:
            hit("connect.before")
            self.connect()
            hit("connect.after")
        outgoing = _message(method, url, headers or {}, body)
        exchange.phase = Phase.READY
        if exchange.gate_opens() and self._stands_in_time(exchange):
            exchange.start_sending()
            self._write(outgoing)

    def _stands_in_time(self, exchange: Exchange) -> bool:
        """Reconnect if a kept connection was lost, or lay idle too long, while the gate was shut.

        False, with SlotLapsed as the refusal, if that took too long. A new connection is not replaced: a server that
        drops those is ill, and to write on the next one would turn "certainly not rung" into "perhaps". Raises
        NothingSent.
        """
        if self._used and not (self._idle_seconds() < KEEP_SECONDS and self._is_silent()):
            self.sock.close()
            self.connect()
            exchange.phase = Phase.READY
            if exchange.seconds > LATE_SECONDS:
                exchange.refusal = SlotLapsed("the connection was lost at the gate")
                return False
        if not self._used and not self._is_silent():
            raise NothingSent
        return True

    def _write(self, data: bytes) -> None:
        exchange = current()
        hit("first_byte.before")
        if exchange.lapsed():
            return
        if isinstance(self.sock, ssl.SSLSocket):
            # A failed write may have put a part of its record on the wire.
            exchange.phase = Phase.FIRST_BYTE
        unsent = memoryview(data)
        while unsent:
            count = self._send_some(_next_part(unsent), exchange)
            if len(unsent) == len(data):
                hit("first_byte.after")
            unsent = unsent[count:]
        exchange.phase = Phase.WRITTEN
        hit("last_byte.after")

    def _send_some(self, data: memoryview, exchange: Exchange) -> int:
        try:
            count = once_writable(self.sock, partial(self.sock.send, data), exchange)
        except OSError as error:
            if exchange.sent:
                raise
            raise NothingSent from error
        exchange.phase = Phase.FIRST_BYTE
        return count

    def getresponse(self) -> Reply:  # type: ignore[override]
        """The answer, read whole. Only after a `request` that the gate let through."""
        exchange = current()
        hit("answer.before")
        answer = BoundedAnswer(self.sock, exchange)
        answer.begin()
        exchange.phase = Phase.STATUS_READ
        body = answer.read_whole()
        exchange.phase = Phase.BODY_READ
        hit("answer.after")
        exchange.oddities |= answer.oddities()
        if answer.will_close:
            self.close()
        self._idle_since = monotonic()
        self._used = True
        return Reply(answer.status, cast(Headers, answer.headers), body, exchange.oddities)


def _message(method: str, url: str, headers: Mapping[str, str], body: bytes) -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {url} HTTP/1.1\r\n{fields}\r\n".encode("latin-1") + body


def _next_part(unsent: memoryview) -> memoryview:
    """All of it, in one go; but where a fault is to come before the last byte, that byte is written by itself."""
    if not is_armed("last_byte.before"):
        return unsent
    if len(unsent) > 1:
        return unsent[:-1]
    hit("last_byte.before")
    return unsent


class PhasedHTTPSConnection(PhasedHTTPConnection, urllib3.connection.HTTPSConnection):
    """HTTPS: as above, with the handshake inside the connect bound."""

    def connect(self) -> None:
        """Resolve, connect and shake hands. Raises CertificateRefused."""
        try:
            super().connect()
        except ssl.SSLCertVerificationError as error:
            raise CertificateRefused(error.verify_message) from error

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        current().phase = Phase.TLS
        # A socket that never waits is refused by the library, which cannot know that the handshake does.
        sock.settimeout(current().remaining_seconds())
        return sock
