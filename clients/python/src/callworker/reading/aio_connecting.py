"""Connects readers of events to a broker, for asyncio. See `connecting`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial

from callworker.address import needed
from callworker.errors import BrokerUnavailable
from callworker.reading.aio_iterating import AsyncEvents, AsyncSource
from callworker.reading.connecting import Reading


class AsyncReading(Reading):
    """Reads events where an `AsyncClient` sends jobs."""

    def async_events(
        self, types: str | Iterable[str], queue: str | None, timeout: float | None
    ) -> AsyncEvents:
        """See `AsyncClient.events`."""
        opens = self.opens(
            types,
            queue,
            lambda: needed("reading.aio_redis", "redis").opened,
            lambda: needed("reading.aio_amqp", "aio_pika").opened,
        )
        return AsyncEvents(partial(_first, opens), timeout=timeout, durable=queue is not None)


async def _first(opens: list[Callable[[], Awaitable[AsyncSource]]]) -> AsyncSource:
    """Open the first source that can be opened. Raises the last one's BrokerUnavailable."""
    *others, last = opens
    for opened in others:
        with suppress(BrokerUnavailable):
            return await opened()
    return await last()
