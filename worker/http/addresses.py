"""The addresses of a host: the one place at which a name becomes something to connect to."""

from __future__ import annotations

import socket
from typing import Any, NamedTuple

import gevent
from gevent.socket import getaddrinfo
from urllib3.util.connection import allowed_gai_family

from worker.http.phases import Exchange
from worker.http.waiting import late


class Address(NamedTuple):
    """What `socket.socket` and its `connect` want."""

    family: int
    kind: int
    protocol: int
    place: Any


def addresses(host: str, port: int, exchange: Exchange) -> list[Address]:
    """Where a connection to `host` may go, the best address first; at least one. Every request connects to one of these
    and to nothing else, so a rule about which addresses may be called has its home here.

    Raises OSError for a name without an address, UnicodeError for what cannot be a name, TimeoutError at the end of the
    stretch under way. Known weakness: the resolver runs in a thread and cannot be interrupted, so that thread then
    waits on by itself; each event loop has ten of them.
    """
    with gevent.Timeout(exchange.remaining_seconds(), late()):
        found: list[Any] = getaddrinfo(host, port, allowed_gai_family(), socket.SOCK_STREAM)
    if not found:
        raise socket.gaierror(socket.EAI_NONAME, "the name has no address")
    return [Address(family, kind, protocol, place) for family, kind, protocol, _, place in found]
