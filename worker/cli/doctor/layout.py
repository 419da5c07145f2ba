"""Says how the state is divided, and whether this program divides it in the same way."""

from __future__ import annotations

import redis

from worker.cli.doctor.finding import Finding
from worker.errors import OtherLayout
from worker.network.remedies import remedy_of
from worker.state import keys
from worker.state.layout import check


def look(client: redis.Redis) -> Finding:
    """Compare what Redis has with what this program does. Raises redis-py's errors."""
    try:
        known = check(client)
    except OtherLayout as error:
        return Finding.fail("Redis layout", str(error), remedy_of(error, "REDIS_URL"))
    shards = f"{keys.layout().shards} shards"
    return Finding.ok("Redis layout", shards if known else f"{shards}, as soon as the first worker starts")
