"""A connection that knows how far the request on it has come.

It is urllib3's, so that urllib3's pool can hold it, but it sends and reads in its own way: the request is put together,
then the gate is passed, then the request is written in one go; every wait has a share of the exchange's deadline.
urllib3's own `connect`, `request` and `getresponse` are not used.
"""

from __future__ import annotations

import errno
import socket
import ssl
from functools import partial
from time import monotonic
from typing import Any

import requests
from urllib3.connection import HTTPConnection, HTTPSConnection

from worker.failpoints import is_armed
from worker.http.addresses import Address, addresses
from worker.http.answer import Answer
from worker.http.phases import Exchange, Phase
from worker.http.request import message
from worker.http.waiting import connect, once_writable, shake_hands

REUSE_SECONDS, KEEP_SECONDS = 3.0, 4.0
"""The longest that a connection may have been idle when it is taken, and when it is written to: servers commonly close
theirs after 5 s or more. The time between the two is for the gate: to reconnect behind it makes a request late.
"""

LATE_SECONDS = 0.002
"""How long a reconnection behind the gate may take. What is sent later misses its slot, and could break the limit."""


class Connection(HTTPConnection):
    """Plain HTTP. For one request at a time."""

    def __init__(self, host: str, port: int | None = None, **kwargs: Any) -> None:
        super().__init__(host, port, **kwargs)
        # As it was given: the library takes a dot from its end.
        self._name = host
        self._idle_since, self._used = 0.0, False

    def ask(self, request: requests.PreparedRequest, exchange: Exchange) -> Answer:
        """Connect if need be, pass the gate, write the request and read the head of its answer.

        Writes nothing, and can serve the next request, where it raises the exchange's refusal. All that can be done
        before the gate is done there: a slot is short, and what comes behind the gate makes the request late.
        """
        if self.sock is None:
            exchange.reach("connect.before")
            self.open(exchange)
            exchange.reach("connect.after")
        outgoing = message(request)
        exchange.phase = Phase.READY
        exchange.pass_gate()
        self._renew_if_lost(exchange)
        exchange.start_sending()
        self._write(outgoing, exchange)
        exchange.reach("answer.before")
        return Answer(self.sock, exchange)

    def open(self, exchange: Exchange) -> None:
        """Resolve and connect within the exchange's connect bound."""
        exchange.start_connecting()
        exchange.phase = Phase.RESOLVING
        found = addresses(self._name, self.port, exchange)
        exchange.phase = Phase.CONNECTING
        self.sock = self._first_to_answer(found, exchange)
        self._idle_since, self._used = monotonic(), False

    def rest(self) -> None:
        """Note that a request is over, and that the next one may come."""
        self._idle_since, self._used = monotonic(), True

    @property
    def is_connected(self) -> bool:
        """False for a connection that is closed, was lost, or was idle too long. urllib3 asks before each reuse."""
        return self.sock is not None and self._idle_seconds() < REUSE_SECONDS and self._is_silent()

    def _first_to_answer(self, found: list[Address], exchange: Exchange) -> socket.socket:
        """A socket to the first address that takes the connection; each has its share of the time left."""
        problem: OSError
        for tried, address in enumerate(found):
            share_seconds = exchange.remaining_seconds() / (len(found) - tried)
            try:
                return self._connected(address, share_seconds)
            except OSError as error:
                problem = error
        raise problem

    def _connected(self, address: Address, seconds: float) -> socket.socket:
        sock = socket.socket(address.family, address.kind, address.protocol)
        try:
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            connect(sock, address.place, seconds)
        except BaseException:
            sock.close()
            raise
        return sock

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

    def _renew_if_lost(self, exchange: Exchange) -> None:
        """Reconnect if a kept connection was lost, or idle too long, while the gate was shut.

        Raises SlotLapsed where that took too long. A new connection is not replaced: a server that drops those is ill,
        and to write on the next one would turn "certainly not rung" into "perhaps". Raises ConnectionAbortedError.
        """
        if self._used and not (self._idle_seconds() < KEEP_SECONDS and self._is_silent()):
            self.close()
            self.open(exchange)
            exchange.phase = Phase.READY
            if exchange.gate is not None and exchange.seconds > LATE_SECONDS:
                exchange.lapse("the connection was lost at the gate")
        if not self._used and not self._is_silent():
            raise ConnectionAbortedError(errno.ECONNABORTED, "the connection was lost before it was used")

    def _write(self, data: bytes, exchange: Exchange) -> None:
        exchange.reach("first_byte.before")
        exchange.check_slot()
        if isinstance(self.sock, ssl.SSLSocket):
            # A failed write may have put a part of its record on the wire.
            exchange.phase = Phase.FIRST_BYTE
        unsent = memoryview(data)
        while unsent:
            part = _next_part(unsent, exchange)
            count = once_writable(self.sock, partial(self.sock.send, part), exchange)
            exchange.phase = Phase.FIRST_BYTE
            if len(unsent) == len(data):
                exchange.reach("first_byte.after")
            unsent = unsent[count:]
        exchange.phase = Phase.WRITTEN
        exchange.reach("last_byte.after")


def _next_part(unsent: memoryview, exchange: Exchange) -> memoryview:
    """All of it, in one go; but where a fault is to come before the last byte, that byte is written by itself."""
    if exchange.gate is None or not is_armed("last_byte.before"):
        return unsent
    if len(unsent) > 1:
        return unsent[:-1]
    exchange.reach("last_byte.before")
    return unsent


class SecureConnection(Connection, HTTPSConnection):
    """HTTPS: the same, with the handshake inside the connect bound."""

    ssl_context: ssl.SSLContext

    def open(self, exchange: Exchange) -> None:
        """Resolve, connect and shake hands. Raises SSLCertVerificationError for a certificate that is not trusted."""
        super().open(exchange)
        exchange.phase = Phase.TLS
        name = self.host.partition("%")[0]
        self.sock = self.ssl_context.wrap_socket(
            self.sock, server_hostname=name, do_handshake_on_connect=False
        )
        shake_hands(self.sock, exchange)
        self._idle_since = monotonic()
