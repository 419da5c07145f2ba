"""Connections to the master that Redis Sentinel names, for asyncio. See `callworker.masters`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, NoPermissionError, RedisError, ResponseError

from callworker.sentinels import ASK_SECONDS, Named, NoMaster, Place, Sentinels, hurried, named, no_master


async def ask(sentinels: Sentinels, place: Place) -> Named:
    """Return what one Sentinel says. Raises redis-py's errors."""
    kind: Any = SSLConnection if "ssl_cert_reqs" in sentinels.options else Connection
    connection = kind(
        host=place.host,
        port=place.port,
        socket_timeout=ASK_SECONDS,
        socket_connect_timeout=ASK_SECONDS,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        **sentinels.options,
        **sentinels.credentials,
    )
    try:
        for question in sentinels.questions:
            await connection.send_command(*question)
        return named(place, *[await _reply(connection) for _ in sentinels.questions])
    finally:
        await connection.disconnect(nowait=True)


async def _reply(connection: Any) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


async def masters(sentinels: Sentinels) -> AsyncIterator[Named]:
    """Ask one Sentinel after the other, see `callworker.masters.masters`. Raises NoMaster at the end."""
    doubtful: list[Named] = []
    faults: dict[Place, Exception] = {}
    for place in sentinels.order():
        try:
            found = await ask(sentinels, place)
        except (RedisError, OSError) as error:
            sentinels.doubt(place)
            faults[place] = error
            continue
        if sentinels.believes(found):
            yield found
        else:
            doubtful.append(found)
    for found in sentinels.usable(doubtful, complete=len(doubtful) == len(sentinels.places)):
        yield found
    if len(faults) == len(sentinels.places):
        sentinels.silent()
    raise no_master(sentinels, faults)


async def moved(sentinels: Sentinels, place: Place) -> bool:
    """Return whether a Sentinel names another master than the one at `place`. No answer counts as no."""
    with suppress(RedisError, OSError):
        async for found in masters(sentinels):
            return found.place != place
    return False


async def check_role(connection: Any) -> None:
    """Log in, and see that the server is a master. See `callworker.masters.check_role`."""
    seconds, connection.socket_timeout = connection.socket_timeout, hurried(connection.socket_timeout)
    try:
        await connection.on_connect()
        with suppress(NoPermissionError):
            await connection.send_command("ROLE")
            role = (await connection.read_response())[0]
            if role != b"master":
                raise ConnectionError(f"the Sentinels name {connection.place}, which is no master")
    except RedisError:
        connection.sentinels.doubt(connection.named_by)
        raise
    finally:
        connection.socket_timeout = seconds


class _ToMaster:
    """Mixin for redis-py's connection classes; must be the first base class."""

    def __init__(self, *, sentinels: Sentinels, **arguments: Any) -> None:
        self.sentinels, self.named_by = sentinels, sentinels.places[0]
        self._below.__init__(host="", port=0, redis_connect_func=check_role, **arguments)

    @property
    def place(self) -> Place:
        """The server to which it is connected, or was last."""
        own: Any = self
        return Place(own.host, own.port)

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        own: Any = self
        if own.is_connected and self.sentinels.due and await moved(self.sentinels, self.place):
            await self._below.disconnect()
        await self._below.send_packed_command(command, check_health=check_health)

    async def _connect(self) -> Any:
        own: Any = self
        seconds, failed = own.socket_connect_timeout, None
        own.socket_connect_timeout = hurried(seconds)
        try:
            async for found in masters(self.sentinels):
                (own.host, own.port), self.named_by = found.place, found.by
                try:
                    return await self._below._connect()
                except OSError as error:
                    self.sentinels.doubt(found.by)
                    failed = error
        except NoMaster as none:
            raise failed or none from None
        finally:
            own.socket_connect_timeout = seconds

    @property
    def _below(self) -> Any:
        return super()


class MasterConnection(_ToMaster, Connection):
    """A connection over TCP."""


class MasterSSLConnection(_ToMaster, SSLConnection):
    """A connection over TLS."""
