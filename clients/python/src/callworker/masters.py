"""Connections to the master that Redis Sentinel names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection
from redis.exceptions import ConnectionError, NoPermissionError, RedisError, ResponseError
from redis.retry import Retry

from callworker.sentinels import ASK_SECONDS, Named, NoMaster, Place, Sentinels, hurried, named, no_master


def ask(sentinels: Sentinels, place: Place) -> Named:
    """Return what one Sentinel says. Raises redis-py's errors."""
    return named(place, *answers(sentinels, place, sentinels.questions))


def answers(sentinels: Sentinels, place: Place, commands: Sequence[Sequence[str]]) -> list[Any]:
    """Return the replies of one Sentinel, in which errors are not raised. Raises redis-py's other errors."""
    connection = _connection_to(sentinels, place)
    try:
        for words in commands:
            connection.send_command(*words)
        return [_reply(connection) for _ in commands]
    finally:
        connection.disconnect()


def _reply(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


def _connection_to(sentinels: Sentinels, place: Place) -> Any:
    kind: Any = SSLConnection if "ssl_cert_reqs" in sentinels.options else Connection
    return kind(
        host=place.host,
        port=place.port,
        socket_timeout=ASK_SECONDS,
        socket_connect_timeout=ASK_SECONDS,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        **sentinels.options,
        **sentinels.credentials,
    )


def masters(sentinels: Sentinels) -> Iterator[Named]:
    """Ask one Sentinel after the other, and yield each master that one names: doubtful answers last.

    Raises NoMaster at the end.
    """
    doubtful: list[Named] = []
    faults: dict[Place, Exception] = {}
    for place in sentinels.order():
        try:
            found = ask(sentinels, place)
        except (RedisError, OSError) as error:
            sentinels.doubt(place)
            faults[place] = error
            continue
        if sentinels.believes(found):
            yield found
        else:
            doubtful.append(found)
    yield from sentinels.usable(doubtful, complete=len(doubtful) == len(sentinels.places))
    if len(faults) == len(sentinels.places):
        sentinels.silent()
    raise no_master(sentinels, faults)


def moved(sentinels: Sentinels, place: Place) -> bool:
    """Return whether a Sentinel names another master than the one at `place`. No answer counts as no."""
    with suppress(RedisError, OSError):
        for found in masters(sentinels):
            return found.place != place
    return False


def check_role(connection: Any) -> None:
    """Log in, and see that the server is a master: one that came back after a failover is, at first, by mistake.

    The Sentinel that named it is asked last from then on, if it is none. A user who may not ask learns nothing. Raises
    redis-py's errors.
    """
    try:
        connection.on_connect()
        with suppress(NoPermissionError):
            connection.send_command("ROLE")
            role = connection.read_response()[0]
            if role != b"master":
                raise ConnectionError(f"the Sentinels name {connection.place}, which is no master")
    except RedisError:
        connection.sentinels.doubt(connection.named_by)
        raise
    connection.unhurried()


class _ToMaster:
    """Mixin for redis-py's connection classes; must be the first base class."""

    def __init__(self, *, sentinels: Sentinels, **arguments: Any) -> None:
        self.sentinels, self.named_by = sentinels, sentinels.places[0]
        self._below.__init__(host="", port=0, redis_connect_func=check_role, **arguments)

    watches_itself = True
    """Whether it asks now and then, before it sends something, if its server is still the master."""

    @property
    def place(self) -> Place:
        """The server to which it is connected, or was last."""
        own: Any = self
        return Place(own.host, own.port)

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        if self.watches_itself and self._sock and self.sentinels.due and moved(self.sentinels, self.place):
            self._below.disconnect()
        self._below.send_packed_command(command, check_health=check_health)

    def unhurried(self) -> None:
        """Wait for answers as long as the address says."""
        own: Any = self
        self._sock.settimeout(own.socket_timeout)

    def _connect(self) -> Any:
        own: Any = self
        waits, failed = (own.socket_timeout, own.socket_connect_timeout), None
        own.socket_timeout = own.socket_connect_timeout = hurried(own.socket_timeout)
        try:
            for found in masters(self.sentinels):
                (own.host, own.port), self.named_by = found.place, found.by
                try:
                    return self._below._connect()
                except OSError as error:
                    self.sentinels.doubt(found.by)
                    failed = error
        except NoMaster as none:
            raise failed or none from None
        finally:
            own.socket_timeout, own.socket_connect_timeout = waits

    _sock: Any

    @property
    def _below(self) -> Any:
        return super()


class MasterConnection(_ToMaster, Connection):
    """A connection over TCP."""


class MasterSSLConnection(_ToMaster, SSLConnection):
    """A connection over TLS."""
