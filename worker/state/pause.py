"""Why no worker dials at the moment, as far as the store tells: for those who show why jobs wait."""

from __future__ import annotations

from typing import Any

import redis

from worker.core.records import Reason
from worker.redisio.translation import store_errors
from worker.state import keys
from worker.state.steady import steady_us, unpaused_us
from worker.state.workers import fleet_of
from worker.state.write_check import WriteCheck

STILL_US = 10_000_000
"""If the store's clock has stood still for longer, no worker gets through to the store."""


def no_worker_dials(client: redis.Redis) -> Reason | None:
    """Return why no worker dials, PAUSED or NO_PLACES; None while one may. Raises StoreUnavailable.

    Takes one round trip. If no worker has got through for long, a second one tries a write: if Redis takes none, the
    workers are paused, else there are none. A key of another type counts as empty.
    """
    with store_errors(), client.pipeline(transaction=False) as pipeline:
        pipeline.time()
        pipeline.get(keys.clock(keys.WORKERS))
        pipeline.hgetall(keys.WORKERS)
        clock, saved, entries = pipeline.execute(raise_on_error=False)
        if isinstance(clock, Exception):
            raise clock
    return _stopped(client, clock, saved if isinstance(saved, bytes) else None, entries)


def _stopped(client: redis.Redis, clock: tuple[int, int], saved: bytes | None, entries: Any) -> Reason | None:
    if unpaused_us(saved, clock) - steady_us(saved, clock) > STILL_US:
        return Reason.PAUSED if WriteCheck(client).ask().problem else Reason.NO_PLACES
    fleet = fleet_of(entries if isinstance(entries, dict) else {}, saved, clock)
    return Reason.PAUSED if fleet.paused else None
