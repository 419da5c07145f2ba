"""The webhook schedule in Redis: implements `delivery.ports.DeliveryStore`, and counts what waits for operators."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import redis

from worker.core.shards import SHARDS
from worker.delivery.ports import Delivery
from worker.redisio.connection import SOCKET_SECONDS
from worker.redisio.runner import ScriptCall, Scripts, store_errors
from worker.state import keys
from worker.state.units import to_us

_CHUNK = 1000
"""How many deliveries are counted in one round trip."""


class Destination(NamedTuple):
    """Where a delivery goes: an account's name and `Endpoint.key` of one of its webhooks."""

    account: str
    endpoint_key: str


class RedisDeliveries:
    """Deliveries that wait for their next attempt. Thread-safe."""

    def __init__(self, scripts: Scripts, *, attempt_seconds: float) -> None:
        """`attempt_seconds` is the longest time that an attempt takes; an attempt that takes longer may be made twice.

        A lease lasts longer: the courier first waits for the script's reply, and records the result afterwards.
        """
        self._scripts, self._lease_us = scripts, to_us(attempt_seconds + 2 * SOCKET_SECONDS)
        self._turns = itertools.count()

    def take(self, most: int) -> list[Delivery]:
        """See DeliveryStore. Takes one round trip, and begins with another shard each time."""
        turn = next(self._turns)
        rows = self._scripts.run(ScriptCall("take_deliveries", keys.prefixes(turn), (most, self._lease_us)))
        return [_delivery((turn + place) % SHARDS, row) for place, *row in rows]

    def delivered(self, delivery: Delivery) -> None:
        """See DeliveryStore; one round trip."""
        self._end(delivery, "")

    def again(self, delivery: Delivery, wait_seconds: float) -> None:
        """See DeliveryStore; one round trip."""
        self._end(delivery, to_us(wait_seconds))

    def give_up(self, delivery: Delivery) -> None:
        """See DeliveryStore; one round trip."""
        self._end(delivery, "")

    def _end(self, delivery: Delivery, pause_us: int | str) -> None:
        member = f"{delivery.job_id}|{delivery.endpoint_key}|{delivery.attempt}"
        self._scripts.run(
            ScriptCall("end_delivery", keys.prefix(delivery.shard), (member, delivery.account, pause_us))
        )


def count_pending(client: redis.Redis) -> Counter[Destination]:
    """Count the deliveries that wait, by destination. Raises StoreUnavailable or WrongKey.

    Reads all deliveries, in two round trips for each thousand. A delivery that comes or goes meanwhile may be missed
    or counted twice.
    """
    counts: Counter[Destination] = Counter()
    with store_errors():
        for prefix in keys.prefixes():
            members = (member for member, _ in client.zscan_iter(f"{prefix}deliveries", count=_CHUNK))
            while chunk := [_parts(member) for member in itertools.islice(members, _CHUNK)]:
                counts.update(_destinations(client, prefix, chunk))
    return counts


def _destinations(
    client: redis.Redis, prefix: str, deliveries: Sequence[tuple[str, str, int]]
) -> Iterator[Destination]:
    """Look up the accounts of one shard's deliveries. Leaves out those whose record is gone."""
    with client.pipeline(transaction=False) as pipeline:
        for job_id, _, _ in deliveries:
            pipeline.hget(f"{prefix}job:{job_id}", "account")
        accounts = pipeline.execute()
    for (_, endpoint_key, _), account in zip(deliveries, accounts, strict=True):
        if account is not None:
            yield Destination(account.decode(), endpoint_key)


def _delivery(shard: int, row: list[Any]) -> Delivery:
    member, account, body = row
    job_id, endpoint_key, attempt = _parts(member)
    return Delivery(
        shard=shard,
        account=account.decode(),
        job_id=job_id,
        event_id=json.loads(body)["id"],
        body=body,
        endpoint_key=endpoint_key,
        attempt=attempt,
    )


def _parts(member: bytes) -> tuple[str, str, int]:
    """Split a member of `deliveries` into job id, endpoint key and attempt."""
    job_id, endpoint_key, attempt = member.decode().split("|")
    return job_id, endpoint_key, int(attempt)
