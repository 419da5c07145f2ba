"""Finds out whether Redis takes writes, by a write that a full Redis refuses."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import redis
from redis.exceptions import ResponseError

from worker.core.records import StoreFacts
from worker.errors import StoreFault, StoreUnavailable
from worker.redisio.kept import check_replicas
from worker.redisio.runner import store_errors
from worker.state import keys

KEPT_SECONDS = 60


class WriteCheck:
    """Writes one small key in one round trip, and reads Redis' clock and memory in the same.

    If `client` waits for replicas, a second round trip finds out whether enough of them keep up. An answer takes as
    long as `client` waits for one. For one thread.
    """

    def __init__(self, client: redis.Redis, unix_clock: Callable[[], float] = time.time) -> None:
        self._client, self._unix_clock = client, unix_clock

    def ask(self) -> StoreFacts:
        """Return what Redis told. Does not raise: `problem` says why it did not take the write.

        Known weakness: the clocks are compared to within the time of the round trip.
        """
        try:
            with store_errors():
                facts = self._asked()
        except (StoreUnavailable, StoreFault) as error:
            return StoreFacts(problem=_unavailable(error))
        return facts if facts.problem else replace(facts, problem=self._lacks_replicas())

    def _lacks_replicas(self) -> StoreUnavailable | None:
        try:
            with store_errors():
                check_replicas(self._client)
        except (StoreUnavailable, StoreFault) as error:
            return _unavailable(error)
        return None

    def _asked(self) -> StoreFacts:
        sent = self._unix_clock()
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.set(keys.WRITE_CHECK, b"1", ex=KEPT_SECONDS)
            pipeline.time()
            pipeline.info("memory")
            written, clock, memory = pipeline.execute(raise_on_error=False)
        between = (sent + self._unix_clock()) / 2
        return StoreFacts(
            problem=_refusal(written),
            clock_ahead_seconds=_ahead(between, clock),
            memory_used_bytes=_number(memory, "used_memory"),
            memory_limit_bytes=_number(memory, "maxmemory"),
        )


def _refusal(written: Any) -> StoreUnavailable | None:
    if not isinstance(written, ResponseError):
        return None
    try:
        with store_errors():
            raise written
    except (StoreUnavailable, StoreFault) as error:
        return _unavailable(error)


def _unavailable(error: Exception) -> StoreUnavailable:
    if isinstance(error, StoreUnavailable):
        return error
    told = StoreUnavailable(f"Redis refuses a write: {error}")
    told.__cause__ = error
    return told


def _ahead(unix_seconds: float, clock: Any) -> float | None:
    """Return how far this machine's clock is ahead of a reply of TIME; None for an error."""
    return unix_seconds - (clock[0] + clock[1] / 1_000_000) if isinstance(clock, tuple) else None


def _number(facts: Any, name: str) -> int | None:
    found = facts.get(name) if isinstance(facts, Mapping) else None
    return found if isinstance(found, int) else None
