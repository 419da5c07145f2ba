"""Counts what waits in the store, for metrics and commands. Changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import redis

from worker.core.figures import AccountCount, EndpointCount
from worker.core.records import REASONS, Reason
from worker.delivery.ports import Destination
from worker.errors import StoreUnavailable, WrongKey
from worker.redisio.node import Command
from worker.redisio.nodes import Nodes
from worker.redisio.texts import ScriptCall
from worker.state import keys
from worker.state.lanes import LIMIT_FIELDS, Lane
from worker.state.lua import store_scripts
from worker.state.pause import no_worker_dials
from worker.state.steady import Clocks, ClocksOf
from worker.state.units import to_seconds

RATIO_MINUTES = 5
"""How many minutes the counts of an endpoint's attempts go back, as in `endpoints.lua`."""
_MINUTE_US = 60_000_000
_CHUNK, _AT_ONCE = 500, 200
_ROW = 6 + len(LIMIT_FIELDS)
_RECENT = re.compile(r"(\d+):(\d+):(\d+)")
_LOST = "lost:"


class Census:
    """Reads counts from the store. Thread-safe."""

    def __init__(self, client: redis.Redis, nodes: Nodes | None = None) -> None:
        """`nodes` are the servers, if they are not those that `client` knows."""
        self._client, self._scripts = client, store_scripts(client, nodes)

    def accounts(self, names: Sequence[str]) -> list[AccountCount]:
        """Count the accounts among `names` that have anything: waiting jobs, calls, a hold, or pending deliveries.

        Their order is undefined. An account that is not returned has nothing, or its part of the store cannot be
        reached. Takes a round trip for `_AT_ONCE` of the accounts or fewer, so that Redis serves others in between, and
        another one; and one more, with a write, if no worker has asked the store for long. Raises StoreUnavailable.
        """
        found = [
            reply
            for calls in _in_turn(names)
            for reply in self._scripts.read_parts(calls)
            if not isinstance(reply, StoreUnavailable) and reply[2]
        ]
        stopped = self._stopped() if found else None
        return [
            _count(row, int(now), int(now_time), stopped) for now, now_time, rows in found for row in rows
        ]

    def endpoints(self, known: Sequence[Destination]) -> list[EndpointCount]:
        """Count each destination of `known`, and what is pending for others. Raises StoreUnavailable.

        A destination is left out if its part of the store cannot be reached. Takes two round trips, and one more for
        each 500 destinations.
        """
        clocks, pending = self._clocks(known), self._pending()
        there = [destination for destination in known if clocks.knows(destination.account)]
        starts = range(0, len(there), _CHUNK)
        rows = [row for start in starts for row in self._endpoint_rows(there[start : start + _CHUNK])]
        counts = [
            _endpoint_count(destination, pending.pop(destination, 0), row, clocks.of(destination.account))
            for destination, row in zip(there, rows, strict=True)
            if not isinstance(row[0], StoreUnavailable)
        ]
        return counts + [EndpointCount(*other, pending=number) for other, number in pending.items()]

    def unpublished(self) -> int:
        """Return how many events the results queue has not confirmed yet, as far as the store can be reached.

        Raises StoreUnavailable.
        """
        found = self._looked([("LLEN", f"{prefix}outbox") for prefix in keys.prefixes()])
        return sum(count for count in found if isinstance(count, int))

    def shards_away(self) -> int:
        """Return how many shards cannot be reached, while others can. Raises StoreUnavailable."""
        if not self._scripts.several:
            return 0
        found = self._looked([("EXISTS", prefix) for prefix in keys.prefixes()])
        return sum(isinstance(reply, StoreUnavailable) for reply in found)

    def dead_letters(self) -> int | None:
        """Return how many messages are on the list of dead letters; None if only its server is away.

        Raises StoreUnavailable.
        """
        (count,) = self._looked([("LLEN", keys.DEAD)])
        if isinstance(count, StoreUnavailable):
            return None
        return count if isinstance(count, int) else 0

    def _stopped(self) -> Reason | None:
        """Return why no worker dials; None if one may, or if that cannot be learned."""
        try:
            return no_worker_dials(self._client)
        except StoreUnavailable as error:
            if not self._scripts.is_apart(error):
                raise
            return None

    def _clocks(self, known: Sequence[Destination]) -> ClocksOf:
        clocks = ClocksOf(destination.account for destination in known)
        clocks.learn(self._looked(clocks.commands()))
        return clocks

    def _pending(self) -> dict[Destination, int]:
        found = self._looked([("HGETALL", f"{prefix}hook-pending") for prefix in keys.prefixes()])
        return {
            Destination(*name.decode().split("|")): int(number)
            for row in found
            for name, number in _pairs(row)
        }

    def _endpoint_rows(self, destinations: Sequence[Destination]) -> list[tuple[Any, Any]]:
        """Read for each destination its state, and since when the oldest of its deliveries is on its way."""
        commands: list[Command] = []
        for account, key in destinations:
            shard, name = keys.prefix_of(account), f"{account}|{key}"
            commands.append(("HGETALL", f"{shard}hook:{name}"))
            commands.append(("ZRANGE", f"{shard}hook-open:{name}", 0, 0, "WITHSCORES"))
        flat = self._looked(commands)
        return list(zip(flat[::2], flat[1::2], strict=True))

    def _looked(self, commands: Sequence[Command]) -> list[Any]:
        """Read in one round trip. Returns the errors of keys of another type and of parts that cannot be reached.

        Raises StoreUnavailable if nothing can be reached.
        """
        replies = self._scripts.look_each(commands) if commands else []
        for reply in replies:
            if isinstance(reply, Exception) and not (
                isinstance(reply, WrongKey) or self._scripts.is_apart(reply)
            ):
                raise reply
        return replies


def _in_turn(names: Sequence[str]) -> Iterator[list[ScriptCall]]:
    """Yield the calls of the script `census`, as many at a time as read `_AT_ONCE` accounts."""
    shards: dict[str, list[str]] = {}
    for name in names:
        shards.setdefault(keys.prefix_of(name), []).append(name)
    calls, room = list[ScriptCall](), _AT_ONCE
    for shard, some in shards.items():
        for start in range(0, len(some), _AT_ONCE):
            taken = some[start : start + _AT_ONCE]
            if len(taken) > room:
                yield calls
                calls, room = [], _AT_ONCE
            calls.append(ScriptCall("census", shard, taken))
            room -= len(taken)
    if calls:
        yield calls


def _pairs(reply: Any) -> Iterator[tuple[bytes, bytes]]:
    """Yield what HGETALL replied, and nothing for an error."""
    return zip(reply[::2], reply[1::2], strict=True) if isinstance(reply, list) else iter(())


def _count(row: Sequence[Any], now_us: int, time_us: int, stopped: Reason | None) -> AccountCount:
    """Count one account, from its row in the reply of the script `census`."""
    whole: list[Any] = [*row, *[None] * (_ROW - len(row))]
    name, waiting, not_ready, head, accepted, pending, *fields = whole
    lane = Lane.read(now_us, int(head or now_us), fields)
    counts = dict.fromkeys(REASONS, 0)
    if lane.hold is not None:
        counts[Reason.HELD] = waiting
    else:
        counts[Reason.BACKOFF] = not_ready
        counts[lane.reason(stopped)] += waiting - not_ready
    # A job is usually in the lane since its acceptance, but Redis' clock may have been set back since.
    ages_us = (now_us - int(head), time_us - int(accepted or time_us), 0) if head else (0,)
    return AccountCount(
        name=name.decode(),
        waiting=counts,
        oldest_seconds=to_seconds(max(ages_us)),
        in_flight=lane.in_flight,
        hold=lane.hold,
        pending=int(pending),
        eligible=lane.eligible(waiting - not_ready),
    )


def _endpoint_count(
    destination: Destination, pending: int, row: tuple[Any, Any], clocks: Clocks
) -> EndpointCount:
    time_us, steady = clocks
    state = {name.decode(): value.decode() for name, value in _pairs(row[0])}
    begun_ms = float(row[1][1]) if isinstance(row[1], list) and row[1] else time_us / 1000
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
