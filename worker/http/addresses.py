"""Resolves a host to addresses: the one place that decides what may be connected to."""

from __future__ import annotations

import socket
from typing import Any, NamedTuple

import gevent
from urllib3.util.connection import allowed_gai_family

from worker.http.lookups import getaddrinfo
from worker.http.phases import Exchange
from worker.http.waiting import late
from worker.network.guard import Guard, GuardRefused

MAX_ADDRESSES = 16
"""A name can have thousands, and to check one takes 20 µs, in which nothing else goes on."""


class Address(NamedTuple):
    """The arguments of `socket.socket` and of its `connect`."""

    family: int
    kind: int
    protocol: int
    place: Any

    @property
    def text(self) -> str:
        """The numeric address, with its zone if it has one."""
        zone = self.place[3] if self.family == socket.AF_INET6 else 0
        return f"{self.place[0]}%{zone}" if zone and "%" not in self.place[0] else str(self.place[0])


def addresses(host: str, port: int, exchange: Exchange) -> list[Address]:
    """Return the addresses of `host` that the exchange's guard allows, at least one, the best first.

    Every request without a proxy connects to one of these and to nothing else. Raises GuardRefused if none is allowed,
    and what `any_addresses` raises.
    """
    found = any_addresses(host, port, exchange)
    return found if exchange.guard is None else _allowed(found, exchange.guard)


def check_literal(host: str, port: int, guard: Guard) -> None:
    """Raise GuardRefused if `host` spells an address that is not allowed. A name passes."""
    if found := _numeric(host, port):
        _allowed(_told(found), guard)


def any_addresses(host: str, port: int, exchange: Exchange) -> list[Address]:
    """Return the addresses of `host`, at least one, the best first.

    Raises OSError for a name without an address, UnicodeError for text that cannot be a name, and TimeoutError at the
    exchange's deadline.
    """
    found = _numeric(host, port) or _looked_up(host, port, exchange)
    if not found:
        raise socket.gaierror(socket.EAI_NONAME, "the name has no address")
    return _told(found)


def _told(found: list[Any]) -> list[Address]:
    return [Address(family, kind, protocol, place) for family, kind, protocol, _, place in found]


def _numeric(host: str, port: int) -> list[Any]:
    """Return the address that `host` spells, in any of the forms that the operating system reads; none for a name."""
    try:
        return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
    except socket.gaierror:
        return []


def _looked_up(host: str, port: int, exchange: Exchange) -> list[Any]:
    with gevent.Timeout(exchange.remaining_seconds(), late()):
        return getaddrinfo(host, port, allowed_gai_family(), socket.SOCK_STREAM)[:MAX_ADDRESSES]


def _allowed(found: list[Address], guard: Guard) -> list[Address]:
    rules = [guard.rule_against(address.text) for address in found]
    if None not in rules:
        raise GuardRefused(next(rule for rule in rules if rule is not None))
    return [address for address, rule in zip(found, rules, strict=True) if rule is None]
