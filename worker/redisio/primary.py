"""Connections that end when their server is no longer the primary.

After a failover the address leads to another server, but open connections still go to the old one, which answers and at
most refuses writes. So the first such refusal ends all connections of this process to that address. Each is made again
when it is next used, in redis-py's pools and in kombu's. `sentinel` has more reasons, for addresses of Sentinels.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ResponseError

from worker.redisio.refusals import NO_PRIMARY, code_of

_departures: Counter[tuple[Any, ...]] = Counter()
"""How many times all connections to an address have ended, by address."""


class Leaving:
    """Mixin for redis-py's connection classes; must be the first base class."""

    _joined = 0

    def on_connect_check_health(self, check_health: bool = True) -> None:
        self._joined = _departures[self._address]
        self._base.on_connect_check_health(check_health)

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        if self._joined != _departures[self._address]:
            self._base.disconnect()
        self._base.send_packed_command(command, check_health=check_health)

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return self._base.read_response(*args, **options)
        except ResponseError as error:
            if code_of(error) in NO_PRIMARY:
                self.leave()
            raise

    def leave(self) -> None:
        """End all connections to this address. Of several that have the same reason, only the first one counts."""
        if self._joined == _departures[self._address]:
            _departures[self._address] += 1

    @property
    def _base(self) -> Any:
        return super()

    @property
    def _address(self) -> tuple[Any, ...]:
        own: Any = self
        return (getattr(own, "path", None), getattr(own, "host", None), getattr(own, "port", None))


def leave(connection: Any) -> None:
    """End all connections to the server of this one, as if it had refused a write. Others than these do nothing."""
    if isinstance(connection, Leaving):
        connection.leave()


class PrimaryConnection(Leaving, Connection):
    """A connection over TCP."""


class PrimarySSLConnection(Leaving, SSLConnection):
    """A connection over TLS."""


class PrimaryUnixConnection(Leaving, UnixDomainSocketConnection):
    """A connection over a Unix socket."""
