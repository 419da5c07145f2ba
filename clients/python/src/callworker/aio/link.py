"""The way to one broker from asyncio: a connection that is made when it is needed, and again after it was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Protocol

from callworker.address import broker_urls, check_replicas, is_redis, needed, read
from callworker.errors import BrokerUnavailable
from callworker.message import Message


class AsyncSession(Protocol):
    """One live connection to a broker. For one task at a time."""

    async def send(self, batch: Sequence[Message]) -> None:
        """Return once the broker has confirmed the whole batch. Raises BrokerUnavailable; then any part may be out."""
        ...

    async def close(self) -> None:
        """Close the connection. Never raises an error of the broker."""
        ...


class AsyncLink:
    """Sends batches over one connection, to the first of some addresses that works. For one task at a time.

    `connects` has a function for each address. It returns a new session, or raises BrokerUnavailable.
    """

    def __init__(self, connects: Sequence[Callable[[], Awaitable[AsyncSession]]]) -> None:
        self._connects = connects
        self._session: AsyncSession | None = None

    async def send(self, batch: Sequence[Message]) -> None:
        """Send the batch, and a second time if the first was over a connection that had been used before.

        Raises BrokerUnavailable. If the task is cancelled meanwhile, the connection is dropped, as an answer that comes
        late would be taken for that of the next batch.
        """
        with _cancel_heeded():
            if self._session is not None:
                with suppress(BrokerUnavailable):
                    return await self._send(self._session, batch)
            self._session = await self._connected()
            return await self._send(self._session, batch)

    async def close(self) -> None:
        """Close the connection; a later `send` makes a new one."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _send(self, session: AsyncSession, batch: Sequence[Message]) -> None:
        try:
            with _cancel_heeded():
                await session.send(batch)
        except BaseException:
            await self.close()
            raise

    async def _connected(self) -> AsyncSession:
        *others, last = self._connects
        for connect in others:
            with suppress(BrokerUnavailable):
                return await connect()
        return await last()


@contextmanager
def _cancel_heeded() -> Iterator[None]:
    """Raise CancelledError at the end if the task was cancelled meanwhile, whatever else was raised or not.

    redis-py waits with `asyncio.wait_for`. In Python 3.11 that forgets a cancellation if what it waits for ends at the
    same moment. Source: https://github.com/python/cpython/issues/86296.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    finally:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError


def link_to(url: str | None, seconds: float, queue_type: str | None, replicas: int = 0) -> AsyncLink:
    """Return a link to the broker at `url`, see `address.broker_urls`. It is not connected yet.

    See `callworker.link.link_to`. Raises ConfigurationError.
    """
    connects: list[Callable[[], Awaitable[AsyncSession]]] = []
    check_replicas(replicas)
    name, urls = broker_urls(url)
    for each in urls:
        address = read(each, name)
        if is_redis(each):
            connects.append(partial(needed("aio.redis", "redis").connect, address, seconds, replicas))
        else:
            connects.append(partial(needed("aio.amqp", "aio_pika").connect, address, seconds, queue_type))
    return AsyncLink(connects)
