"""What operators do to an endpoint of webhooks: enable it, disable it, send events to it again."""

from __future__ import annotations

import time
from collections.abc import Iterable

import redis

from worker.core.events import rfc3339
from worker.delivery.ports import Destination
from worker.redisio.texts import ScriptCall
from worker.state import keys
from worker.state.installation import Installation
from worker.state.lua import store_scripts
from worker.state.units import to_us

STEP = 500
"""The most deliveries that one script moves: other clients of Redis wait meanwhile."""

OPERATOR = "operator"
"""Why an endpoint is disabled that an operator disabled."""


class RedisEndpoints:
    """The state of endpoints, for operators. Every method may raise StoreUnavailable or WrongKey.

    An operator may name any destination: also one that no worker knows.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._scripts = store_scripts(client)
        self._installation = Installation(self._scripts)

    def enable(self, destination: Destination) -> str:
        """Enable an endpoint and forget its failures; everything that waits for it is due now.

        Returns why it was disabled, or "". Takes a round trip for each `STEP` deliveries that waited for a later time.
        """
        moved, was = self._brought_forward(destination, 0)
        total = moved
        while moved == STEP:
            moved, _ = self._brought_forward(destination, total)
            total += moved
        return was

    def disable(self, destination: Destination) -> str:
        """Disable an endpoint: what waits for it is kept for seven days. The results queue gets `endpoint.disabled`.

        Returns "", or why it was disabled already; then nothing changes.
        """
        told = (self._installation.id(), rfc3339(to_us(time.time())))
        args = ("|".join(destination), OPERATOR, *told)
        was: bytes = self._scripts.run(ScriptCall("disable_endpoint", _shard(destination), args))
        return was.decode()

    def replay(self, destination: Destination, job_ids: Iterable[str], spread_seconds: float) -> int:
        """Send the events of jobs to an endpoint again, in the order given, spread evenly over `spread_seconds`.

        Leaves out what waits already and what has no record. Returns how many are sent. Takes a round trip for each
        `STEP`; after an error some of them may wait already, and all may be given again.
        """
        jobs = list(job_ids)
        pause_us = to_us(spread_seconds) / max(len(jobs), 1)
        waits = [(job_id, round(place * pause_us)) for place, job_id in enumerate(jobs)]
        return sum(self._sent(destination, waits[at : at + STEP]) for at in range(0, len(waits), STEP))

    def _brought_forward(self, destination: Destination, before: int) -> tuple[int, str]:
        args = ("|".join(destination), STEP, before)
        moved, was = self._scripts.run(ScriptCall("enable_endpoint", _shard(destination), args))
        return int(moved), was.decode()

    def _sent(self, destination: Destination, waits: Iterable[tuple[str, int]]) -> int:
        args = ["|".join(destination), *(word for wait in waits for word in wait)]
        sent: list[int] = self._scripts.run(ScriptCall("replay", _shard(destination), args))
        return sum(sent)


def _shard(destination: Destination) -> str:
    return keys.prefix_of(destination.account)
