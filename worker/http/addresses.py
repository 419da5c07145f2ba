"""Resolves a host to addresses: the one place that decides what may be connected to."""

from __future__ import annotations

import socket
from typing import Any, NamedTuple

import gevent
from gevent.socket import getaddrinfo
from urllib3.util.connection import allowed_gai_family

from worker.http.phases import Exchange
from worker.http.waiting import late


class Address(NamedTuple):
    """The arguments of `socket.socket` and of its `connect`."""

    family: int
    kind: int
    protocol: int
    place: Any


def addresses(host: str, port: int, exchange: Exchange) -> list[Address]:
    """Return the addresses of `host`, at least one, the best first.

    Every request connects to one of these and to nothing else, so a rule about which addresses may be called belongs
    here. Raises OSError for a name without an address, UnicodeError for text that cannot be a name, and TimeoutError at
    the exchange's deadline. Known weakness: the resolver runs in a thread that cannot be interrupted and goes on after
    the deadline; each event loop has ten such threads.
    """
    with gevent.Timeout(exchange.remaining_seconds(), late()):
        found: list[Any] = getaddrinfo(host, port, allowed_gai_family(), socket.SOCK_STREAM)
    if not found:
        raise socket.gaierror(socket.EAI_NONAME, "the name has no address")
    return [Address(family, kind, protocol, place) for family, kind, protocol, _, place in found]
