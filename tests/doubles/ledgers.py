"""The ledger on a real Redis, with the options that most tests need."""

from __future__ import annotations

from typing import Any

import redis

from tests.doubles.clocks import FakeClock
from worker.redisio.runner import Scripts
from worker.state.ledger import RedisLedger
from worker.state.lua import store_scripts

LEASE_SECONDS, RETENTION_SECONDS = 30.0, 3600


def redis_ledger(store: redis.Redis | Scripts, clock: FakeClock | None = None, **options: Any) -> RedisLedger:
    """Make one worker's ledger on `store`, with `options` of RedisLedger. Without a `clock` it reads the real time."""
    scripts = store if isinstance(store, Scripts) else store_scripts(store)
    usual: dict[str, Any] = {"lease_seconds": LEASE_SECONDS, "retention_seconds": RETENTION_SECONDS}
    if clock is not None:
        usual["clock"] = clock
    return RedisLedger(scripts, **usual | options)
