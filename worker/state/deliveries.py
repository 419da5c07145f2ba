"""The lanes of webhook endpoints in Redis: implements `delivery.ports.DeliveryStore`, and counts what waits in them."""

from __future__ import annotations

import itertools
import json
import math
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple

import redis

from worker.core.events import rfc3339
from worker.core.records import Slot
from worker.delivery.ports import Conclusion, Delivery, Destination, Effect
from worker.errors import StoreUnavailable
from worker.redisio.connection import SOCKET_SECONDS
from worker.redisio.runner import Scripts
from worker.redisio.texts import ScriptCall
from worker.redisio.translation import store_errors
from worker.state import keys
from worker.state.installation import Installation
from worker.state.offset import Bounds, ClockOffset
from worker.state.releases import shares
from worker.state.units import to_seconds, to_us

AHEAD_US = 20_000
"""How far ahead of its slot a delivery is leased: the connection is made meanwhile."""

SWEEP_SECONDS = 0.2
"""The shortest pause between two looks for leases that ran out, in all shards."""

_RECORDED = 1


class _Row(NamedTuple):
    """A lease in the reply of take_deliveries.lua."""

    place: int
    destination: bytes
    job_id: bytes
    attempt: bytes
    event: bytes
    sequence: bytes
    finished: bytes
    slot: bytes
    valid: bytes
    concurrency: int


class RedisDeliveries:
    """Deliveries that wait for their next attempt. Thread-safe."""

    def __init__(
        self,
        scripts: Scripts,
        *,
        attempt_seconds: float,
        sweep_seconds: float = SWEEP_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        unix_clock: Callable[[], float] = time.time,
    ) -> None:
        """`attempt_seconds` is the longest time that an attempt takes; an attempt that takes longer may be made twice.

        A lease lasts longer: the courier first waits for the script's reply, and records the result afterwards.
        """
        self._scripts, self._installation = scripts, Installation(scripts)
        self._needed_seconds = attempt_seconds + SOCKET_SECONDS
        self._lease_us = to_us(self._needed_seconds + SOCKET_SECONDS) + AHEAD_US
        self._clock, self._unix_clock = clock, unix_clock
        self._offsets: defaultdict[str, ClockOffset] = defaultdict(ClockOffset)
        self._turns, self._name = itertools.count(), secrets.token_hex(4)
        self._sweep_seconds, self._sweep_at = sweep_seconds, 0.0
        self.due_seconds = 0.0

    def take(
        self, most: int, unknown: Iterable[Destination] = (), quick: Collection[Destination] = ()
    ) -> list[Delivery]:
        """See DeliveryStore. Takes one round trip, and begins with another shard each time."""
        turn, sent = next(self._turns), self._clock()
        args: list[str | int] = [self._lease_us, AHEAD_US, self._sweeps(sent), self._name, len(quick)]
        for where in quick:
            args += [keys.prefix_of(where.account), "|".join(where)]
        args += ["|".join(where) for where in unknown]
        prefixes = keys.prefixes(turn)
        shards = {prefix: (turn + n) % len(prefixes) for n, prefix in enumerate(prefixes)}
        groups = self._scripts.groups(prefixes)
        replies = self._scripts.run_parts([
            ScriptCall("take_deliveries", some, [share, *args])
            for some, share in zip(groups, shares(most, len(groups)), strict=True)
        ])  # fmt: skip
        received, ends, found = self._clock(), sent + to_seconds(self._lease_us), list[Delivery]()
        self.due_seconds = math.inf
        for some, reply in zip(groups, replies, strict=True):
            if isinstance(reply, StoreUnavailable):
                continue
            now, due, *rows = reply
            nows = [int(one) for one in now.split()]
            # One server has one clock for all shards.
            bounds = [
                self._offsets[self._scripts.clock_of(prefix)].learn(sent, received, one)
                for prefix, one in zip(some, nows, strict=False)
            ] * (len(some) if len(nows) == 1 else 1)
            if int(due):
                self.due_seconds = min(self.due_seconds, to_seconds(max(int(due) - nows[0], 0)))
            for row in map(_Row._make, rows):
                place = int(row.place)
                found.append(self._delivery(shards[some[place]], row, bounds[place], ends))
        return found

    def _sweeps(self, now: float) -> int:
        """Return 1 if it is time to look for leases that ran out: a busy worker asks many times a second."""
        if now < self._sweep_at:
            return 0
        self._sweep_at = now + self._sweep_seconds
        return 1

    def record(self, conclusions: Sequence[Conclusion]) -> list[Effect | StoreUnavailable]:
        """See DeliveryStore. Takes one round trip; the conclusions of a shard share one script call."""
        now_us, installation = to_us(self._unix_clock()), self._installation.id()
        places: dict[int, list[int]] = {}
        for place, conclusion in enumerate(conclusions):
            places.setdefault(conclusion.delivery.shard, []).append(place)
        replies = self._scripts.run_parts([
            ScriptCall("end_deliveries", keys.prefix(shard), [
                word for place in found for word in _words(conclusions[place], now_us, installation)
            ])
            for shard, found in places.items()
        ])  # fmt: skip
        effects: dict[int, Effect | StoreUnavailable] = {}
        for found, rows in zip(places.values(), replies, strict=True):
            if isinstance(rows, StoreUnavailable):
                effects |= dict.fromkeys(found, rows)
            else:
                effects |= {place: _effect(row) for place, row in zip(found, rows, strict=True)}
        return [effects[place] for place in range(len(conclusions))]

    def _delivery(self, shard: int, row: _Row, bounds: Bounds, ends: float) -> Delivery:
        return Delivery(
            shard=shard,
            destination=_destination(row.destination),
            job_id=row.job_id.decode(),
            event_id=json.loads(row.event)["id"],
            body=row.event,
            attempt=int(row.attempt),
            sequence=int(row.sequence),
            finished_at_us=int(row.finished),
            slot=self._slot(int(row.slot), int(row.valid), bounds, ends),
            concurrency=int(row.concurrency),
            begins_by=ends - self._needed_seconds,
        )

    @staticmethod
    def _slot(slot_us: int, valid_us: int, bounds: Bounds, ends: float) -> Slot | None:
        """Convert a slot to this process's clock. Where the clocks leave a doubt, it is the shorter one."""
        if not slot_us:
            return None
        return Slot(
            opens=to_seconds(slot_us - bounds.least_us),
            closes=to_seconds(slot_us + valid_us - bounds.most_us),
            lease_ends=ends,
        )


def count_pending(client: redis.Redis) -> Counter[Destination]:
    """Count the deliveries that are not over, by destination. One round trip. Raises StoreUnavailable or WrongKey."""
    with store_errors(), client.pipeline(transaction=False) as pipeline:
        for prefix in keys.prefixes():
            pipeline.hgetall(f"{prefix}hook-pending")
        found: list[dict[bytes, bytes]] = pipeline.execute()
    return Counter({_destination(name): int(count) for counts in found for name, count in counts.items()})


def _destination(text: bytes) -> Destination:
    return Destination(*text.decode().split("|"))


def _words(conclusion: Conclusion, now_us: int, installation: str) -> tuple[str | int, ...]:
    """Return the arguments of end_deliveries.lua for one conclusion."""
    delivery = conclusion.delivery
    slow_us: str | int = "" if conclusion.slow_seconds is None else to_us(conclusion.slow_seconds)
    return (
        "|".join(delivery.destination), delivery.job_id, delivery.attempt, conclusion.verdict,
        to_us(conclusion.wait_seconds), conclusion.health, slow_us, conclusion.disable, conclusion.why,
        _try(conclusion, now_us), installation, rfc3339(now_us),
    )  # fmt: skip


def _try(conclusion: Conclusion, now_us: int) -> str:
    """Return what the endpoint's list of attempts keeps of this one, as JSON; empty if none was made."""
    delivery, attempt = conclusion.delivery, conclusion.attempt
    if attempt is None:
        return ""
    return json.dumps(
        {
            "at": now_us // 1000,
            "job": delivery.job_id,
            "event": delivery.event_id,
            "sequence": delivery.sequence,
            "attempt": delivery.attempt,
            "result": attempt.result,
            "status": attempt.status,
            "cause": attempt.cause,
            "seconds": round(attempt.seconds, 3),
            "body": conclusion.excerpt,
        }
    )


def _effect(row: list[Any]) -> Effect:
    recorded, failures, warned, opened_us, closed, disabled = row
    return Effect(
        recorded=int(recorded) == _RECORDED,
        failures=int(failures),
        warned=bool(int(warned)),
        opened_seconds=to_seconds(int(opened_us)) or None,
        closed=bool(int(closed)),
        disabled=disabled.decode(),
    )
