"""The webhook schedule in Redis: implements `delivery.ports.DeliveryStore`."""

from __future__ import annotations

import itertools
import json
from typing import Any

from worker.delivery.ports import Delivery
from worker.delivery.schedule import ATTEMPT_SECONDS
from worker.state import keys
from worker.state.connection import SOCKET_SECONDS
from worker.state.scripts import Call, Scripts

_MICRO = 1_000_000
LEASE_US = int((ATTEMPT_SECONDS + 2 * SOCKET_SECONDS) * _MICRO)
"""From its beginning in Redis the courier waits for the reply, makes its attempt, and puts the end on record. An
attempt that overruns, because its host has a slow name or many addresses, may be made twice."""


class RedisDeliveries:
    """Deliveries that wait for their next attempt. Thread-safe."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._turns = itertools.count()

    def take(self, most: int) -> list[Delivery]:
        """See DeliveryStore, in one round trip; another shard comes first each time."""
        turn = next(self._turns)
        rows = self._scripts.run(Call("take_deliveries", keys.prefixes(turn), (most, LEASE_US)))
        return [_delivery((turn + n) % keys.SHARDS, row) for n, *row in rows]

    def delivered(self, delivery: Delivery) -> None:
        self._end(delivery, "")

    def again(self, delivery: Delivery, wait_seconds: float) -> None:
        self._end(delivery, int(wait_seconds * _MICRO))

    def give_up(self, delivery: Delivery) -> None:
        self._end(delivery, "")

    def _end(self, delivery: Delivery, pause_us: int | str) -> None:
        member = f"{delivery.job_id}|{delivery.endpoint_key}|{delivery.attempt}"
        self._scripts.run(
            Call("end_delivery", keys.prefix(delivery.shard), (member, delivery.account, pause_us))
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
