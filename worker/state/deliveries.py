"""The webhook schedule in Redis: implements `delivery.ports.DeliveryStore`."""

from __future__ import annotations

import itertools
import json
from typing import Any

from worker.core.shards import SHARDS
from worker.delivery.ports import Delivery
from worker.redisio.connection import SOCKET_SECONDS
from worker.redisio.runner import ScriptCall, Scripts
from worker.state import keys

_MICRO = 1_000_000


class RedisDeliveries:
    """Deliveries that wait for their next attempt. Thread-safe."""

    def __init__(self, scripts: Scripts, *, attempt_seconds: float) -> None:
        """`attempt_seconds`: how long an attempt takes at most; one that overruns may be made twice.

        A lease lasts longer: the courier waits for the script's reply first, and puts the end on record afterwards.
        """
        self._scripts, self._lease_us = scripts, int((attempt_seconds + 2 * SOCKET_SECONDS) * _MICRO)
        self._turns = itertools.count()

    def take(self, most: int) -> list[Delivery]:
        """See DeliveryStore, in one round trip; another shard comes first each time."""
        turn = next(self._turns)
        rows = self._scripts.run(ScriptCall("take_deliveries", keys.prefixes(turn), (most, self._lease_us)))
        return [_delivery((turn + n) % SHARDS, row) for n, *row in rows]

    def delivered(self, delivery: Delivery) -> None:
        self._end(delivery, "")

    def again(self, delivery: Delivery, wait_seconds: float) -> None:
        self._end(delivery, int(wait_seconds * _MICRO))

    def give_up(self, delivery: Delivery) -> None:
        self._end(delivery, "")

    def _end(self, delivery: Delivery, pause_us: int | str) -> None:
        member = f"{delivery.job_id}|{delivery.endpoint_key}|{delivery.attempt}"
        self._scripts.run(
            ScriptCall("end_delivery", keys.prefix(delivery.shard), (member, delivery.account, pause_us))
        )


def _delivery(shard: int, row: list[Any]) -> Delivery:
    member, account, body = row
    job_id, endpoint_key, attempt = member.decode().split("|")
    return Delivery(
        shard=shard,
        account=account.decode(),
        job_id=job_id,
        event_id=json.loads(body)["id"],
        body=body,
        endpoint_key=endpoint_key,
        attempt=int(attempt),
    )
