"""The memory that Redis used in the last day, as a worker notes it."""

from __future__ import annotations

import re

import redis

from worker.core.forecast import Sample
from worker.redisio.translation import store_errors
from worker.state import keys

EVERY_SECONDS = 300
MAX_SAMPLES = 288
"""A day."""

_SAMPLE = re.compile(rb"(\d+) (\d+)")


class RedisMemory:
    """Each method may raise StoreUnavailable, or WrongKey. Thread-safe."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def samples(self) -> list[Sample]:
        """Return all samples, oldest first. Takes one round trip."""
        with store_errors(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.lrange(keys.MEMORY, 0, -1)
            (lines,) = pipeline.execute()
        found = [_SAMPLE.fullmatch(line) for line in reversed(lines)]
        return [Sample(float(one[1]), int(one[2])) for one in found if one]

    def note(self, sample: Sample) -> list[Sample]:
        """Add a sample, unless the newest one is less than five minutes old. Returns all samples, oldest first.

        Takes at most two round trips. For one worker at a time.
        """
        before = self.samples()
        if before and 0 <= sample.unix_seconds - before[-1].unix_seconds < EVERY_SECONDS:
            return before
        with store_errors(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.lpush(keys.MEMORY, f"{sample.unix_seconds:.0f} {sample.used_bytes}")
            pipeline.ltrim(keys.MEMORY, 0, MAX_SAMPLES - 1)
            pipeline.execute()
        return [*before, sample][-MAX_SAMPLES:]
