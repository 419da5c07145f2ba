"""kombu's connection, with addresses that mean the same to it as to every other client here.

By itself kombu verifies no certificate with rediss:// and no name with amqps://, and it takes an option that it does
not know for an argument of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from kombu import Connection
from kombu.transport import pyamqp, redis

from callworker import amqp_address, tls
from callworker.address import REDIS
from callworker.amqp_tls import SecuredTransport
from worker.redisio.connection import SOCKET_SECONDS, bounded, parameters
from worker.redisio.primary import PrimaryConnection, PrimaryUnixConnection
from worker.redisio.sentinel import SentinelConnection, SentinelSSLConnection

Arguments = dict[str, Any]
"""Arguments of kombu's Connection. `ssl` is the only one that kombu carries whole to the transport, also by a clone."""


_SENTINELS = {SentinelConnection: "redis+sentinel", SentinelSSLConnection: "rediss+sentinel"}


class BrokerConnection(Connection):
    """kombu's connection to the first of some addresses, and to the next if that fails."""

    @classmethod
    def to(cls, url: str, **options: Any) -> Self:
        """Return a connection to `url`, which may hold several addresses separated by `;`.

        The heartbeat of an address replaces that of `options`, if that has one. RabbitMQ would close a connection that
        was promised heartbeats and sends none.

        Raises ValueError, whose text repeats no part of the address; for transports that only kombu knows, any error.
        """
        addresses = [arguments(part) for part in url.split(";")]
        usual = options.get("heartbeat") or 0
        for each in addresses:
            each["heartbeat"] = usual and each.get("heartbeat", usual)
        others = [each if "transport" in each else each["hostname"] for each in addresses]
        return cls(**options | addresses[0], alternates=others if len(others) > 1 else None)

    def as_uri(self, *given: Any, **options: Any) -> str:
        """Return where it leads, without user and password, for a log."""
        base: Any = super()
        if isinstance(self.transport_cls, str):
            return str(base.as_uri(*given, **options))
        kind = (self.ssl or {}).get("connection_class")
        if kind is PrimaryUnixConnection:
            return f"unix://{self.hostname}"
        if kind in _SENTINELS:
            return f"{_SENTINELS[kind]}://{self.hostname}"
        secured = "s" if self.ssl and kind is not PrimaryConnection else ""
        place = f"{self.hostname}:{self.port or self.transport.default_port}"
        return f"{self.transport.driver_type}{secured}://{place}"

    def switch(self, conn_str: Any) -> None:
        """Go on to another address, as kombu does. It is given as arguments, unless only kombu knows the transport."""
        base: Any = super()
        if isinstance(conn_str, str):
            base.switch(conn_str)
            return
        base.close()
        self.declared_entities.clear()
        self._closed = False
        base._init_params(**{**self._initial_params, **conn_str})


def arguments(url: str) -> Arguments:
    """Return kombu's arguments for one address. Raises ValueError, whose text repeats no part of it."""
    scheme, mark, _ = url.partition("://")
    scheme = scheme.lower()
    if not mark or (scheme not in _READERS and scheme.partition("+")[0] in _READERS):
        raise ValueError("is not a kombu URL; allowed is amqp://…, redis://… or another transport of kombu")
    if scheme == "sentinel":
        raise ValueError("is kombu's sentinel://; write redis+sentinel://host1,host2,host3/NAME/0")
    return _READERS.get(scheme, _left_to_kombu)(url)


def weakness(url: str) -> str | None:
    """Return in words what one of the addresses in `url` leaves unverified, or None if nothing."""
    options = [arguments(part).get("ssl") or {} for part in url.split(";")]
    return next((found for each in options if (found := tls.weakness(each))), None)


def _left_to_kombu(url: str) -> Arguments:
    return {"hostname": url}


def _redis(url: str) -> Arguments:
    given = parameters(url)
    return {
        "transport": RedisTransport,
        "hostname": given.get("host", given.get("path", str(given.get("sentinels")))),
        "port": given.get("port"),
        "virtual_host": str(given["db"]),
        "ssl": given,
    }


class _RedisChannel(redis.Channel):
    def _connparams(self, asynchronous: bool = False) -> Arguments:
        channel: Any = super()
        given = self.connection.client.ssl
        self.connection_class_ssl = given["connection_class"]
        made = channel._connparams(asynchronous)["connection_class"]
        own = bounded(
            given, self.socket_timeout or SOCKET_SECONDS, self.socket_connect_timeout or SOCKET_SECONDS
        )
        return own | {"connection_class": made}

    def get_table(self, exchange: str) -> list[tuple[str, ...]]:
        """Return the bindings of an exchange. Members of the set that are no bindings are left out."""
        with self.conn_or_acquire() as client:
            found = client.smembers(self.keyprefix_queue % exchange)
        rows = (member.decode(errors="replace").split(self.sep) for member in found)
        return [tuple(row) for row in rows if _is_binding(row)]


def _is_binding(row: Sequence[str]) -> bool:
    """Return whether the row is a routing key, a pattern and the name of a queue."""
    try:
        return len(row) == 3 and bool(row[2]) and re.compile(row[1]) is not None
    except re.error:
        return False


class RedisTransport(redis.Transport):
    """kombu's transport, over connections that redis-py would make from the same address."""

    Channel = _RedisChannel


def _amqp(url: str) -> Arguments:
    read = amqp_address.parse(url)
    return {
        "transport": AmqpTransport,
        "hostname": read.host,
        "port": read.port,
        "userid": read.user,
        "password": read.password,
        "virtual_host": read.virtual_host,
        "ssl": read.secure or False,
        **read.options,
    }


class _AmqpConnection(pyamqp.Connection):
    @property
    def negotiate_capabilities(self) -> Mapping[str, bool]:
        """The extensions that the broker may use.

        Only a connection with a function `on_blocked` hears that the broker takes no messages for now: with that
        capability py-amqp reads the socket before each message, and the broker confirms none then anyway.
        """
        hears = self.on_blocked is not None
        return {**pyamqp.Connection.negotiate_capabilities, "connection.blocked": hears}

    def Transport(self, host: str, seconds: float, ssl: Any, *times: Any, **more: Any) -> Any:  # noqa: N802
        if not ssl:
            return super().Transport(host, seconds, ssl, *times, **more)
        return SecuredTransport(
            host, seconds, ssl, **dict(zip(("read_timeout", "write_timeout"), times, strict=True)), **more
        )


class AmqpTransport(pyamqp.Transport):
    """kombu's transport, which verifies the broker's certificate."""

    Connection = _AmqpConnection


_READERS: Mapping[str, Callable[[str], Arguments]] = {
    "amqp": _amqp,
    "amqps": _amqp,
    "pyamqp": _amqp,
    **dict.fromkeys(REDIS, _redis),
}
