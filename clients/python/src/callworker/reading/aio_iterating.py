"""The iterator over events for asyncio. See `iterating`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Protocol, Self

from callworker.errors import BrokerUnavailable
from callworker.events import Event
from callworker.reading.iterating import Patience, ends, parsed


class AsyncSource(Protocol):
    """A `Source` for asyncio. A `take` that is canceled loses no event of a durable queue."""

    async def take(self, seconds: float) -> bytes | None: ...

    async def close(self) -> None: ...

    async def drop(self) -> None: ...


class AsyncEvents(AsyncIterator[Event]):
    """`Events` for asyncio. It listens from the moment at which `async with` or the first step of a loop begins."""

    def __init__(
        self, connect: Callable[[], Awaitable[AsyncSource]], *, timeout: float | None, durable: bool
    ) -> None:
        self._connect, self._timeout, self._durable = connect, timeout, durable
        self._source: AsyncSource | None = None
        self._begun = self._closed = False

    async def __anext__(self) -> Event:
        event = await self._next(Patience(self._timeout, durable=self._durable))
        if event is None:
            raise StopAsyncIteration
        return event

    async def wait(self, job_id: str, timeout: float | None = 60.0) -> Event | None:
        """Return the event that tells how a job ended, or None if it did not come in time. See `Events.wait`."""
        patience = Patience(timeout, durable=self._durable)
        event = await self._next(patience)
        while event is not None and not ends(event, job_id):
            event = await self._next(patience)
        return event

    async def _next(self, patience: Patience) -> Event | None:
        if not self._begun:
            await self._begin()
        while not self._closed:
            last = not patience.left
            try:
                event = await self._take(patience)
            except BrokerUnavailable as error:
                await asyncio.sleep(patience.pause(error))
                continue
            if event is not None or last:
                return event
        return None

    async def _begin(self) -> None:
        self._source = await self._connect()
        self._begun = True

    async def _take(self, patience: Patience) -> Event | None:
        if self._source is None:
            self._source = await self._connect()
            patience.connected()
        try:
            body = await self._source.take(patience.left)
        except BrokerUnavailable:
            source, self._source = self._source, None
            await source.drop()
            raise
        return None if body is None else parsed(body)

    async def close(self) -> None:
        """Stop listening. The last event of a durable queue comes again, unless the iteration went on after it."""
        source, self._source, self._closed = self._source, None, True
        if source is not None:
            await source.close()

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
