"""A connection that reports to the exchange how far its request has come.

It is a subclass of urllib3's, so that urllib3's pool can keep it, but it sends and reads on its own: it assembles the
request, passes the gate, and writes the request in one piece, each wait within the exchange's deadline. urllib3's
`connect`, `request` and `getresponse` are not used.
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
from worker.http.addresses import Address, addresses, any_addresses, check_literal
from worker.http.answer import Answer
from worker.http.faults import FAULTS, word
from worker.http.handshakes import shake_hands
from worker.http.phases import Exchange, Phase
from worker.http.request import message
from worker.http.tunnel import ProxyFault, lead
from worker.http.waiting import connect, once_writable
from worker.network.proxy import Proxy

MAX_IDLE_TAKEN_SECONDS, MAX_IDLE_WRITTEN_SECONDS = 3.0, 4.0
"""The longest time that a connection may have been idle when it is taken, and when it is written to. Servers commonly
close idle ones after 5 s or more. The difference is for the wait at the gate, after which reconnecting costs the slot.
"""

LATE_SECONDS = 0.002
"""How long reconnecting after the gate may take. A request sent later misses its slot and could break the limit."""


class Connection(HTTPConnection):
    """A connection of plain HTTP, for one request at a time."""

    scheme = "http"

    def __init__(self, host: str, port: int | None = None, **kwargs: Any) -> None:
        super().__init__(host, port, **kwargs)
        # The library removes a dot at the end of `host`.
        self._name = host
        self._idle_since, self._used = 0.0, False

    def ask(self, request: requests.PreparedRequest, exchange: Exchange) -> Answer:
        """Connect if necessary, pass the gate, write the request and read the head of its answer.

        If it raises the exchange's refusal, nothing was written, and the connection can serve the next request. All
        that can be done before the gate is done there, because work after the gate delays the request in its slot.
        """
        if self.sock is None:
            exchange.pass_failpoint("connect.before")
            self.open(exchange)
            exchange.pass_failpoint("connect.after")
        outgoing = message(request)
        exchange.phase = Phase.READY
        exchange.pass_gate()
        self._renew_if_lost(exchange)
        exchange.start_sending()
        self._write(outgoing, exchange)
        exchange.pass_failpoint("answer.before")
        return Answer(self.sock, exchange)

    def open(self, exchange: Exchange) -> None:
        """Resolve the name and connect, within `connect_seconds` of the exchange. Raises GuardRefused and ProxyFault.

        The addresses that the guard has checked are those that are connected to, so a name cannot change in between. A
        proxy resolves names itself: then the guard sees only those addresses that the URL spells.
        """
        if exchange.guard is not None:
            exchange.guard.check(self.scheme, self.port)
        exchange.start_connecting()
        exchange.phase = Phase.RESOLVING
        if exchange.proxy is None:
            self.sock = self._first_to_answer(addresses(self._name, self.port, exchange), exchange)
        else:
            self._open_through(exchange.proxy, exchange)
        self._idle_since, self._used = monotonic(), False

    def _open_through(self, proxy: Proxy, exchange: Exchange) -> None:
        if exchange.guard is not None:
            check_literal(self._name, self.port, exchange.guard)
        try:
            found = any_addresses(proxy.host, proxy.port, exchange)
            self.sock = self._first_to_answer(found, exchange)
        except FAULTS as error:
            raise ProxyFault(word(error)) from None
        lead(self.sock, proxy, self._name, self.port, exchange)

    def rest(self) -> None:
        """Note that a request is over, and that the connection waits for the next one."""
        self._idle_since, self._used = monotonic(), True

    @property
    def is_connected(self) -> bool:
        """Whether the connection is open, was not lost and not idle for too long. urllib3 asks before each reuse."""
        return self.sock is not None and not self.is_stale and self._is_silent()

    @property
    def is_stale(self) -> bool:
        """Whether the connection has been idle for so long that it is not used again."""
        return self._idle_seconds() >= MAX_IDLE_TAKEN_SECONDS

    def _first_to_answer(self, found: list[Address], exchange: Exchange) -> socket.socket:
        """Return a socket to the first address that takes the connection. Each address has a share of the time left."""
        exchange.phase = Phase.CONNECTING
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
        """Whether the server has neither closed the connection nor sent anything, which would be read as our answer.

        Reads instead of polling, because TLS session tickets make a healthy socket readable.
        """
        try:
            self.sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        except OSError:
            return False
        return False

    def _renew_if_lost(self, exchange: Exchange) -> None:
        """Reconnect if a kept connection was lost, or was idle for too long, during the wait at the gate.

        Raises SlotLapsed if that took too long. Raises ConnectionAbortedError if a connection was lost that no request
        has used: a server that drops new connections is faulty, and writing on another one would turn "certainly not
        rung" into "perhaps rung".
        """
        if self._used and not (self._idle_seconds() < MAX_IDLE_WRITTEN_SECONDS and self._is_silent()):
            self.close()
            self.open(exchange)
            exchange.phase = Phase.READY
            exchange.check_delay(LATE_SECONDS)
        if not self._used and not self._is_silent():
            raise ConnectionAbortedError(errno.ECONNABORTED, "the connection was lost before it was used")

    def _write(self, data: bytes, exchange: Exchange) -> None:
        exchange.pass_failpoint("first_byte.before")
        exchange.check_slot()
        if isinstance(self.sock, ssl.SSLSocket):
            # A write that fails may have sent a part of its TLS record.
            exchange.phase = Phase.FIRST_BYTE
        unsent = memoryview(data)
        while unsent:
            part = _next_part(unsent, exchange)
            count = once_writable(self.sock, partial(self.sock.send, part), exchange)
            exchange.phase = Phase.FIRST_BYTE
            if len(unsent) == len(data):
                exchange.pass_failpoint("first_byte.after")
            unsent = unsent[count:]
        exchange.phase = Phase.WRITTEN
        exchange.pass_failpoint("last_byte.after")


def _next_part(unsent: memoryview, exchange: Exchange) -> memoryview:
    """Return what to write next: all at once, but if the failpoint before the last byte is armed, that byte alone."""
    if not exchange.is_call or not is_armed("last_byte.before"):
        return unsent
    if len(unsent) > 1:
        return unsent[:-1]
    exchange.pass_failpoint("last_byte.before")
    return unsent


class SecureConnection(Connection, HTTPSConnection):
    """A connection of HTTPS. The TLS handshake is within `connect_seconds`."""

    scheme = "https"
    ssl_context: ssl.SSLContext

    def open(self, exchange: Exchange) -> None:
        """Resolve the name, connect, and do the TLS handshake.

        Raises SSLCertVerificationError for a certificate that is not trusted.
        """
        super().open(exchange)
        exchange.phase = Phase.TLS
        name = self.host.partition("%")[0]
        self.sock = self.ssl_context.wrap_socket(
            self.sock, server_hostname=name, do_handshake_on_connect=False
        )
        shake_hands(self.sock, (self._name, self.port), exchange)
        self._idle_since = monotonic()
