"""Connections that end with the server's time as a primary.

After a failover the address leads to another server, but what is connected stays connected to the old one, which goes
on answering, and refuses writes at most. So its first refusal ends all connections of this process to that address:
each is made again when it is next used, whatever it belongs to, a pool or kombu.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ResponseError

from worker.redisio.refusals import NO_PRIMARY, code_of

_refusals: Counter[tuple[Any, ...]] = Counter()
"""How often a server has refused as one that is no primary, by its address."""


class _Leaving:
    """For a class of redis-py's connections to inherit first."""

    _joined = 0

    def on_connect_check_health(self, check_health: bool = True) -> None:
        self._joined = _refusals[self._address]
        self._base.on_connect_check_health(check_health)

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        if self._joined != _refusals[self._address]:
            self._base.disconnect()
        self._base.send_packed_command(command, check_health=check_health)

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return self._base.read_response(*args, **options)
        except ResponseError as error:
            # Of several that are told the same thing, the first one counts.
            if code_of(error) in NO_PRIMARY and self._joined == _refusals[self._address]:
                _refusals[self._address] += 1
            raise

    @property
    def _base(self) -> Any:
        return super()

    @property
    def _address(self) -> tuple[Any, ...]:
        own: Any = self
        return (getattr(own, "path", None), getattr(own, "host", None), getattr(own, "port", None))


class PrimaryConnection(_Leaving, Connection):
    """Over TCP."""


class PrimarySSLConnection(_Leaving, SSLConnection):
    """Over TLS."""


class PrimaryUnixConnection(_Leaving, UnixDomainSocketConnection):
    """Over a socket of this machine."""
