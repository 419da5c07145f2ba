"""Finds out whether Redis takes writes, by a write that a full Redis refuses."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import redis
from redis.exceptions import ResponseError

from worker.core.figures import StoreFacts
from worker.errors import StoreFault, StoreUnavailable
from worker.redisio import replicas
from worker.redisio.cluster_client import nodes_of
from worker.redisio.node import Node
from worker.redisio.translation import store_errors
from worker.state import keys

KEPT_SECONDS = 60


class WriteCheck:
    """Writes one small key in one round trip, and reads Redis' clock and memory in the same.

    If `client` waits for replicas, a second round trip finds out whether enough of them keep up. An answer takes as
    long as `client` waits for one. Each server of a cluster is asked. For one thread.
    """

    def __init__(self, client: redis.Redis, unix_clock: Callable[[], float] = time.time) -> None:
        self._nodes, self._unix_clock = nodes_of(client), unix_clock

    def ask(self) -> StoreFacts:
        """Return what Redis told. Does not raise: `problem` says why it did not take the write.

        Of a cluster, it is a problem only if no server takes writes; memory is that of the fullest one, the clock that
        which is furthest off. Known weakness: the clocks are compared to within the time of the round trip.
        """
        try:
            return _together(self.ask_each())
        except StoreUnavailable as error:
            return StoreFacts(problem=error)

    def ask_each(self) -> list[StoreFacts]:
        """Return what each server told. Raises StoreUnavailable if the servers cannot be learned."""
        with store_errors():
            nodes = self._nodes.all()
        return [self._told_by(node) for node in nodes]

    def _told_by(self, node: Node) -> StoreFacts:
        try:
            with store_errors():
                facts = self._asked(node)
        except (StoreUnavailable, StoreFault) as error:
            return StoreFacts(problem=_unavailable(error))
        return facts if facts.problem else replace(facts, problem=_lacks_replicas(node))

    def _asked(self, node: Node) -> StoreFacts:
        sent = self._unix_clock()
        with node.client.pipeline(transaction=False) as pipeline:
            pipeline.set(node.mark if self._nodes.several else keys.WRITE_CHECK, b"1", ex=KEPT_SECONDS)
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


def _together(found: Sequence[StoreFacts]) -> StoreFacts:
    if len(found) == 1:
        return found[0]
    problems = [one.problem for one in found if one.problem]
    fullest = max(found, key=_fill)
    off = [one.clock_ahead_seconds for one in found if one.clock_ahead_seconds is not None]
    return replace(
        fullest,
        problem=problems[0] if len(problems) == len(found) else None,
        clock_ahead_seconds=max(off, key=abs, default=None),
    )


def _fill(facts: StoreFacts) -> tuple[float, int]:
    """Return how full a server is, for comparison: by its limit, or else by its bytes."""
    used, limit = facts.memory_used_bytes or 0, facts.memory_limit_bytes or 0
    return (used / limit if limit else 0.0, used)


def _lacks_replicas(node: Node) -> StoreUnavailable | None:
    try:
        with store_errors():
            replicas.check(node.client, node.mark)
    except (StoreUnavailable, StoreFault) as error:
        return _unavailable(error)
    return None


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
