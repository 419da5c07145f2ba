"""The webhook schedule in Redis: implements `delivery.ports.DeliveryStore`."""

from __future__ import annotations

import json
from typing import Any

from worker.delivery.ports import Delivery
from worker.state import keys
from worker.state.scripts import Call, Scripts

LEASE_US = 60_000_000
_MICRO = 1_000_000


class RedisDeliveries:
    """Deliveries that wait for their next attempt. Thread-safe."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    def take(self, most: int) -> list[Delivery]:
        """See DeliveryStore, in one round trip; each shard gives its share of `most`, and at least one."""
        share = max(most // keys.SHARDS, 1)
        replies = self._scripts.run_all([
            Call("take_deliveries", keys.prefix(n), (share, LEASE_US)) for n in range(keys.SHARDS)
        ])  # fmt: skip
        return [_delivery(shard, row) for shard, rows in enumerate(replies) for row in rows]

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
