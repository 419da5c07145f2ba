"""Says which limit an installation meets first as its load grows, and at how many jobs a second.

docs/explanation/what-breaks-first.md tells what is seen then, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from worker.core import costs, sizing
from worker.core.accounts import Account
from worker.core.endpoints import Endpoint
from worker.core.sizing import CORE_MS, Demand, Workers

ACCOUNT_CONCURRENCY: int = Account.model_fields["concurrency"].default
ENDPOINT_CONCURRENCY: int = Endpoint.model_fields["concurrency"].default

DELIVERY_SECONDS = 0.2
"""How long a webhook's receiver is taken to need for its answer."""


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A limit: at how many jobs a second it is met, which alert tells of it, and what raises it."""

    name: str
    what: str
    per_second: float
    alert: str
    cure: str


def ceilings(demand: Demand, there: Workers) -> list[Ceiling]:
    """Return every limit that more jobs can meet, the one that is met first at the head.

    `per_second` is that of the busiest minute for all but Redis' memory, which depends on the mean of days.
    """
    return sorted(_all(demand, there), key=lambda one: one.per_second)


def _all(demand: Demand, there: Workers) -> Iterator[Ceiling]:
    call_seconds = demand.attempts * demand.provider_seconds
    yield Ceiling(
        "worker_cpu",
        f"CPU of {there.processes} workers, a core each",
        there.processes * demand.job.worker.jobs_per_second(CORE_MS),
        "CallworkerExpiringSoon",
        "more workers",
    )
    yield Ceiling(
        "places",
        f"places for calls: {there.processes} workers with CONCURRENCY {there.concurrency}",
        there.processes * there.concurrency / call_seconds,
        "CallworkerNoPlaces",
        "a higher CONCURRENCY, or more workers",
    )
    yield Ceiling(
        "redis_cpu",
        "CPU of Redis, one core",
        there.processes * demand.job.redis.jobs_per_second(CORE_MS / there.processes),
        "CallworkerExpiringSoon",
        "a faster core, or RabbitMQ as the broker" if not demand.rabbitmq else "a faster core",
    )
    yield Ceiling(
        "redis_memory",
        "memory of Redis, 80 % of maxmemory",
        _rate_in_memory(demand, there),
        "CallworkerRedisMemory",
        "a higher maxmemory, or a lower LEDGER_RETENTION or WEBHOOK_REPLAY",
    )
    yield Ceiling(
        "account_concurrency",
        f"calls in flight of an account, {ACCOUNT_CONCURRENCY} by default, if all are equally busy",
        demand.accounts * ACCOUNT_CONCURRENCY / call_seconds,
        "CallworkerExpiringSoon",
        "a higher `concurrency` of the account, if the provider allows it",
    )
    if demand.webhooks:
        yield from _webhooks(demand, there)


def _webhooks(demand: Demand, there: Workers) -> Iterator[Ceiling]:
    yield Ceiling(
        "endpoint_concurrency",
        f"requests in flight to a webhook, {ENDPOINT_CONCURRENCY} by default, answered in {DELIVERY_SECONDS} s",
        demand.accounts * ENDPOINT_CONCURRENCY / DELIVERY_SECONDS,
        "CallworkerWebhookBacklogOld",
        "a higher `concurrency` of the webhook, if its receiver bears it",
    )
    yield Ceiling(
        "webhook_places",
        f"webhook requests in flight: {there.processes} workers with WEBHOOKS_IN_FLIGHT {demand.webhooks_in_flight}",
        there.processes * demand.webhooks_in_flight / DELIVERY_SECONDS / demand.webhooks,
        "CallworkerWebhookBacklogOld",
        "a higher WEBHOOKS_IN_FLIGHT, or more workers",
    )


def _rate_in_memory(demand: Demand, there: Workers) -> float:
    """Return at which mean rate Redis' memory reaches the alert; the backlog and all else stay as they are."""
    idle = replace(demand, per_second=0.0)
    fixed = sizing.used_bytes(idle, there.processes)
    each = sizing.used_bytes(replace(idle, per_second=1.0), there.processes) - fixed
    room = costs.MOST_OF_MEMORY * sizing.max_memory_bytes(demand, there.processes) - fixed
    return max(room, 0.0) / each
