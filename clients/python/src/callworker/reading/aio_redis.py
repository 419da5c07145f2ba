"""Reads a list of events in Redis, for asyncio. See `redis_source`."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import Any

from callworker.aio.redis import client_of
from callworker.errors import BrokerUnavailable
from callworker.reading.lists import Queue, begin, look_for_abandoned, remove_abandoned
from callworker.reading.redis_source import BOUND_SECONDS, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS
from callworker.redis_address import Parameters
from callworker.redis_lists import redis_errors


class AsyncRedisSource:
    """The list from `make` to `close`. For one task."""

    def __init__(self, address: Parameters, seconds: float, queue: Queue) -> None:
        self._client, self._queue = client_of(address, seconds), queue
        self._taken: deque[bytes] = deque()
        self._look: asyncio.Task[Any] | None = None

    async def take(self, seconds: float) -> bytes | None:
        ends, pause = time.monotonic() + seconds, FIRST_PAUSE_SECONDS
        while not self._taken:
            with redis_errors("the events cannot be read"):
                if time.monotonic() > self._bound_until:
                    await self.make()
                found = self._queue.found(await self._reply())
            if found is None:
                raise BrokerUnavailable("the queue for the events is gone")
            self._taken.extend(found)
            left = ends - time.monotonic()
            if not found and left <= 0:
                return None
            if not found:
                await asyncio.sleep(min(pause, left))
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        return self._taken.popleft()

    async def close(self) -> None:
        await self._end_look()
        with suppress(BrokerUnavailable), redis_errors("the queue cannot be left"):
            pipeline = self._client.pipeline()
            self._queue.leave(pipeline)
            await pipeline.execute()
        await self.drop()

    async def drop(self) -> None:
        await self._end_look()
        with suppress(BrokerUnavailable), redis_errors("the connection did not close"):
            await self._client.aclose()

    async def _reply(self) -> Any:
        """Return the reply of a look. If this is canceled, the look goes on, and the next call gets its reply."""
        look = self._look = self._look or asyncio.ensure_future(self._asked())
        await asyncio.wait([look])
        self._look = None
        return look.result()

    async def _asked(self) -> Any:
        return await self._client.eval(*self._queue.look())

    async def _end_look(self) -> None:
        look, self._look = self._look, None
        if look is not None:
            look.cancel()
            await asyncio.gather(look, return_exceptions=True)

    async def make(self) -> None:
        """Make the list and its bindings."""
        self._bound_until = time.monotonic() + BOUND_SECONDS
        pipeline = self._client.pipeline()
        begin(pipeline, self._queue)
        bound = look_for_abandoned(pipeline, (await pipeline.execute())[-1])
        remove_abandoned(pipeline, bound, await pipeline.execute())
        await pipeline.execute()


async def opened(address: Parameters, seconds: float, queue: Queue) -> AsyncRedisSource:
    """Make the list. No wait for an answer is longer than `seconds`. Raises BrokerUnavailable."""
    source = AsyncRedisSource(address, seconds, queue)
    try:
        with redis_errors("a queue for the events cannot be made"):
            await source.make()
    except BaseException:
        await source.drop()
        raise
    return source
