"""Workers of the stream, and entries in it."""

from __future__ import annotations

import json
from typing import Any

import redis

from tests.doubles.clocks import FakeClock
from tests.doubles.takers import Taker
from worker.inbound.stream import GROUP, STREAM, StreamSource
from worker.inbound.upkeep import KEEP_SECONDS

JOB = {"id": "a", "account": "acme", "country": "1", "phone": "2125555555", "code": "4321"}


def worker_on(
    client: redis.Redis, taker: Taker, clock: FakeClock | None = None, **bounds: Any
) -> StreamSource:
    return StreamSource(client, taker, clock or FakeClock(), listen_seconds=0.02, **bounds)


def turn_later(intake: StreamSource, clock: FakeClock) -> None:
    """A turn in which all is due that a worker does now and then."""
    clock.advance(KEEP_SECONDS)
    intake.turn()


def add(client: redis.Redis, job_id: str) -> None:
    client.xadd(STREAM, {"job": json.dumps(JOB | {"id": job_id})})


def pending(client: Any) -> int:
    return int(client.xpending(STREAM, GROUP)["pending"])
