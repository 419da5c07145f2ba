"""What the tests of webhook lanes share: jobs that end, and conclusions about their deliveries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import redis

from tests.doubles import decisions
from tests.doubles.clocks import StoredClock
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, application, placed
from worker.core.endpoints import Endpoint
from worker.core.records import Lease
from worker.core.retry import Tally
from worker.delivery.ports import (
    Attempt,
    AttemptResult,
    Conclusion,
    Delivery,
    Effect,
    Health,
    Verdict,
)
from worker.delivery.schedule import ATTEMPT_SECONDS
from worker.state import keys
from worker.state.deliveries import RedisDeliveries
from worker.state.lua import store_scripts

HOOKS = (
    Endpoint(url="https://hooks.example.com/one", secret_env=("A",), name="one"),
    Endpoint(url="https://hooks.example.com/two", secret_env=("A",), name="two"),
)
SHARD = keys.prefix_of("acme")
RETENTION_SECONDS = 3600
LEASE_SECONDS = 25.02
BAD = Attempt(AttemptResult.REFUSED, 0.25, 500)
GOOD = Attempt(AttemptResult.DELIVERED, 0.25, 200)


class Lanes:
    """The lanes of account `acme`, whose jobs end when a test says so, as two workers see them."""

    def __init__(self, client: redis.Redis, clock: StoredClock) -> None:
        self.client, self.clock = client, clock
        scripts = store_scripts(client)
        self.ledger = redis_ledger(scripts, clock)
        self.store, self.other = (
            RedisDeliveries(
                scripts,
                attempt_seconds=ATTEMPT_SECONDS,
                sweep_seconds=0.0,
                clock=clock,
                unix_clock=lambda: 1.8e9,
            )
            for _ in range(2)
        )

    def end(self, *names: str, hooks: Sequence[Endpoint] = HOOKS[:1], name: str = "acme") -> None:
        """Let jobs end, each with its event for `hooks`."""
        owner = account(name, "1000/s", burst=1000, concurrency=1000, webhooks=tuple(hooks))
        ledger = self.ledger
        ledger.declare([owner])
        for lease in ledger.admit([application(job, owner) for job in names]):
            assert isinstance(lease, Lease)
            decisions.settle(ledger, lease, owner, Tally(sent=1), placed(lease))

    def take(self, most: int = 16) -> list[Delivery]:
        return self.store.take(most)

    def one(self) -> Delivery:
        (delivery,) = self.take()
        return delivery

    def next(self) -> Delivery:
        """The first delivery that can go, after the time until then."""
        taken = self.take(1)
        if not taken:
            self.clock.advance(self.store.due_seconds)
            taken = self.take(1)
        return taken[0]

    def names(self, most: int = 16) -> list[str]:
        return [delivery.job_id for delivery in self.take(most)]

    def conclude(self, delivery: Delivery, verdict: Verdict, **fields: Any) -> Effect:
        (effect,) = self.store.record([Conclusion(delivery, verdict, **({"why": "500"} | fields))])
        assert isinstance(effect, Effect)
        return effect

    def delivered(self, delivery: Delivery) -> Effect:
        return self.conclude(
            delivery, Verdict.DELIVERED, why="200", health=Health.GOOD, attempt=GOOD, excerpt="thanks"
        )

    def again(
        self, delivery: Delivery, wait_seconds: float, health: Health = Health.BAD, **more: Any
    ) -> Effect:
        return self.conclude(
            delivery, Verdict.AGAIN, health=health, wait_seconds=wait_seconds, attempt=BAD, **more
        )

    def give_up(self, delivery: Delivery) -> Effect:
        return self.conclude(delivery, Verdict.GIVEN_UP, health=Health.BAD, why="attempts_spent", attempt=BAD)

    def returned(self, delivery: Delivery, wait_seconds: float = 0.0) -> Effect:
        return self.conclude(delivery, Verdict.RETURNED, wait_seconds=wait_seconds, why="proxy")

    def fail(self, times: int) -> list[Effect]:
        """Let the endpoint fail so often, with deliveries that come back at once."""
        return [self.again(self.one(), 0.0) for _ in range(times)]

    def pending(self) -> int:
        return int(self.client.hget(SHARD + "pending", "acme") or 0)

    def about(self, job: str, hook: str = "one") -> list[str]:
        """What the job's record says of its delivery, without the time."""
        found: Any = self.client.hget(f"{SHARD}job:{job}", f"hook:{hook}")
        return (found or b"").decode().split()[:4]

    def left_seconds(self, job: str) -> float:
        """How long the job's record is kept; infinity if it does not expire."""
        left_ms = int(self.client.pttl(f"{SHARD}job:{job}"))
        return float("inf") if left_ms == -1 else left_ms / 1000

    def told(self) -> list[dict[str, Any]]:
        """The events about endpoints that are on their way to the results queue."""
        outbox: Any = self.client.lrange(SHARD + "outbox", 0, -1)
        rows = [row.decode().split(" ", 1) for row in outbox]
        return [json.loads(body) for kind, body in rows if kind.startswith("endpoint.")]
