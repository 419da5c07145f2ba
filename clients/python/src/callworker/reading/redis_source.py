"""Reads a list of events in Redis. It looks again and again: ever less often while nothing comes."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress

from callworker.errors import BrokerUnavailable
from callworker.reading.lists import Queue, begin, look_for_abandoned, remove_abandoned
from callworker.redis import client_of
from callworker.redis_address import Parameters
from callworker.redis_lists import redis_errors

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.01, 0.2
"""Between two looks."""
BOUND_SECONDS = 30.0
"""How often the queue is bound again: a Redis may have come back empty, which no connection notices."""


class RedisSource:
    """The list from its making to `close`. For one thread. Raises BrokerUnavailable if it cannot be made."""

    def __init__(self, address: Parameters, seconds: float, queue: Queue) -> None:
        """No wait for an answer is longer than `seconds`."""
        self._client, self._queue = client_of(address, seconds), queue
        self._taken: deque[bytes] = deque()
        try:
            with redis_errors("a queue for the events cannot be made"):
                self._make()
        except BaseException:
            self.drop()
            raise

    def take(self, seconds: float) -> bytes | None:
        ends, pause = time.monotonic() + seconds, FIRST_PAUSE_SECONDS
        while not self._taken:
            with redis_errors("the events cannot be read"):
                if time.monotonic() > self._bound_until:
                    self._make()
                found = self._queue.found(self._client.eval(*self._queue.look()))
            if found is None:
                raise BrokerUnavailable("the queue for the events is gone")
            self._taken.extend(found)
            left = ends - time.monotonic()
            if not found and left <= 0:
                return None
            if not found:
                time.sleep(min(pause, left))
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        return self._taken.popleft()

    def close(self) -> None:
        with suppress(BrokerUnavailable), redis_errors("the queue cannot be left"):
            pipeline = self._client.pipeline()
            self._queue.leave(pipeline)
            pipeline.execute()
        self.drop()

    def drop(self) -> None:
        with suppress(BrokerUnavailable), redis_errors("the connection did not close"):
            self._client.close()

    def _make(self) -> None:
        self._bound_until = time.monotonic() + BOUND_SECONDS
        pipeline = self._client.pipeline()
        begin(pipeline, self._queue)
        bound = look_for_abandoned(pipeline, pipeline.execute()[-1])
        remove_abandoned(pipeline, bound, pipeline.execute())
        pipeline.execute()
