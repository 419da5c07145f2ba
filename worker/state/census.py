"""Counts what waits in the store, for metrics and commands. Changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import redis

from worker.core.limits import Pace
from worker.core.records import AccountCount, EndpointCount, Reason
from worker.core.shards import SHARDS
from worker.delivery.ports import Destination
from worker.redisio.runner import store_errors
from worker.state import keys
from worker.state.steady import steady_us

RATIO_MINUTES = 5
"""How many minutes the counts of an endpoint's attempts go back, as in `endpoints.lua`."""
_MINUTE_US = 60_000_000
_CHUNK = 500
_RECENT = re.compile(r"(\d+):(\d+):(\d+)")
_LOST = "lost:"


class Census:
    """Reads counts from the store. Thread-safe."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def accounts(self, names: Sequence[str]) -> list[AccountCount]:
        """Count each account, in the order given. Takes three round trips. Raises StoreUnavailable."""
        with store_errors():
            now_us, steady = self._clocks()
            rows = self._rows(names, steady)
            heads = {name: row[2][0] for name, row in zip(names, rows, strict=True) if row[2]}
            accepted = self._accepted([(name, job_id) for name, (job_id, _) in heads.items()])
        # A job is usually in the lane since its acceptance, but Redis' clock may have been set back since.
        ages = {
            name: max(now_us - accepted.get(name, now_us), steady - ready, 0)
            for name, (_, ready) in heads.items()
        }
        return [_count(name, row, ages.get(name, 0)) for name, row in zip(names, rows, strict=True)]

    def endpoints(self, known: Sequence[Destination]) -> list[EndpointCount]:
        """Count each destination of `known`, and what is pending for others. Raises StoreUnavailable.

        Takes two round trips, and one more for each 500 destinations.
        """
        with store_errors():
            clocks, pending = self._clocks(), self._pending()
            starts = range(0, len(known), _CHUNK)
            rows = [row for start in starts for row in self._endpoint_rows(known[start : start + _CHUNK])]
        counts = [
            _endpoint_count(destination, pending.pop(destination, 0), row, clocks)
            for destination, row in zip(known, rows, strict=True)
        ]
        return counts + [EndpointCount(*other, pending=number) for other, number in pending.items()]

    def unpublished(self) -> int:
        """Return how many events the results queue has not confirmed yet. Raises StoreUnavailable."""
        with store_errors(), self._client.pipeline(transaction=False) as pipeline:
            for shard in range(SHARDS):
                pipeline.llen(keys.prefix(shard) + "outbox")
            return sum(count or 0 for count in _answers(pipeline))

    def dead_letters(self) -> int:
        """Return how many messages are on the list of dead letters. Raises StoreUnavailable."""
        with store_errors(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.llen(keys.DEAD)
            return _answers(pipeline)[0] or 0

    def _clocks(self) -> tuple[int, int]:
        """Return Redis' clock and the store's own, in microseconds."""
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.time()
            pipeline.get(keys.CLOCK)
            clock, saved = _answers(pipeline)
        return clock[0] * 1_000_000 + clock[1], steady_us(saved, clock)

    def _rows(self, names: Iterable[str], steady: int) -> list[list[Any]]:
        """Read for each account: jobs waiting, jobs not ready, the lane's head, limit fields, pending deliveries."""
        with self._client.pipeline(transaction=False) as pipeline:
            for name in names:
                prefix = keys.prefix_of(name)
                pipeline.zcard(f"{prefix}lane:{name}")
                pipeline.zcount(f"{prefix}lane:{name}", f"({steady}", "+inf")
                pipeline.zrange(f"{prefix}lane:{name}", 0, 0, withscores=True)
                pipeline.hmget(f"{prefix}limit:{name}", ["inflight", "hold", "pace"])
                pipeline.hget(f"{prefix}pending", name)
            flat = _answers(pipeline)
        return [flat[n : n + 5] for n in range(0, len(flat), 5)]

    def _pending(self) -> dict[Destination, int]:
        with self._client.pipeline(transaction=False) as pipeline:
            for prefix in keys.prefixes():
                pipeline.hgetall(f"{prefix}hook-pending")
            found = [row or {} for row in _answers(pipeline)]
        return {
            Destination(*name.decode().split("|")): int(number)
            for row in found
            for name, number in row.items()
        }

    def _endpoint_rows(self, destinations: Sequence[Destination]) -> list[tuple[Any, Any]]:
        """Read for each destination its state, and since when the oldest of its deliveries is on its way."""
        with self._client.pipeline(transaction=False) as pipeline:
            for account, key in destinations:
                prefix = keys.prefix_of(account)
                pipeline.hgetall(f"{prefix}hook:{account}|{key}")
                pipeline.zrange(f"{prefix}hook-open:{account}|{key}", 0, 0, withscores=True)
            flat = _answers(pipeline)
        return list(zip(flat[::2], flat[1::2], strict=True))

    def _accepted(self, heads: Sequence[tuple[str, bytes]]) -> dict[str, int]:
        """Return when the first job of each lane was accepted (Unix µs)."""
        with self._client.pipeline(transaction=False) as pipeline:
            for name, head in heads:
                pipeline.hget(f"{keys.prefix_of(name)}job:{head.decode()}", "accepted")
            moments = _answers(pipeline)
        return {name: int(moment) for (name, _), moment in zip(heads, moments, strict=True) if moment}


def _answers(pipeline: Any) -> list[Any]:
    """Return the replies, with None for a key of another type. Raises redis-py's other errors."""
    replies: list[Any] = pipeline.execute(raise_on_error=False)
    for n, reply in enumerate(replies):
        if isinstance(reply, Exception):
            if not str(reply).startswith("WRONGTYPE"):
                raise reply
            replies[n] = None
    return replies


def _count(name: str, row: Sequence[Any], oldest_us: float) -> AccountCount:
    waiting, not_ready, _, limit, pending = row
    waiting, not_ready = waiting or 0, not_ready or 0
    in_flight, hold, pace = limit or [None] * 3
    full = bool(pace) and int(in_flight or 0) >= Pace.unpacked(pace.decode()).concurrency
    counts = dict.fromkeys(Reason, 0)
    if hold:
        counts[Reason.HELD] = waiting
    else:
        counts[Reason.BACKOFF] = not_ready
        counts[Reason.CAPACITY if full else Reason.RATE_LIMIT] = waiting - not_ready
    return AccountCount(
        name=name,
        waiting=counts,
        oldest_seconds=oldest_us / 1_000_000,
        in_flight=int(in_flight or 0),
        hold=hold.decode() if hold else None,
        pending=int(pending or 0),
    )


def _endpoint_count(
    destination: Destination, pending: int, row: tuple[Any, Any], clocks: tuple[int, int]
) -> EndpointCount:
    time_us, steady = clocks
    state = {name.decode(): value.decode() for name, value in (row[0] or {}).items()}
    begun_ms = row[1][0][1] if row[1] else time_us / 1000
    delivered, failed = _recent(state.get("recent", ""), steady // _MINUTE_US)
    return EndpointCount(
        *destination,
        pending=pending,
        oldest_seconds=max(time_us / 1000 - begun_ms, 0) / 1000,
        breaker_open=int(state.get("opened", 0)) > 0,
        disabled=state.get("disabled", ""),
        delivered=delivered,
        failed=failed,
        given_up=_given_up(state),
    )


def _recent(counts: str, minute: int) -> tuple[int, int]:
    """Add up the attempts of the last minutes: those that were answered with 2xx, and the others."""
    found = [tuple(map(int, row)) for row in _RECENT.findall(counts)]
    recent = [(good, bad) for at, good, bad in found if at > minute - RATIO_MINUTES]
    return sum(good for good, _ in recent), sum(bad for _, bad in recent)


def _given_up(state: Mapping[str, str]) -> dict[str, int]:
    return {name.removeprefix(_LOST): int(number) for name, number in state.items() if name.startswith(_LOST)}
