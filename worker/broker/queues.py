"""Names and shapes of everything on the broker, shared by producer, consumer and results.

    calls ──direct──> calls           Celery tasks `calls.verify`, from stock Celery producers
    (default) ──────> calls.0 … 15    the same, from this package's producer, by the account's shard: a flood
                                      of one account lies before the jobs of its own shard alone
                      calls.intake    plain JSON jobs, on AMQP only; on Redis a stream of this name takes
                                      its place
    results ──topic──> results (#)    terminal events, routing key = the event's type

Both sides of a queue must declare it alike, or an AMQP broker refuses the second one. A stock Celery or kombu client
declares it durable and without a type, so this program does too, and RabbitMQ's own `default_queue_type` says whether
that means a quorum queue. AMQP_QUEUE_TYPE names the type outright, see `of_type`. A queue that somebody has
declared otherwise before is used as it is (`broker.declaring`).
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from typing import Any

from kombu import Exchange, Queue

from worker.core.shards import SHARDS, shard_of

TASK_NAME = "calls.verify"


def _durable(name: str, exchange: Exchange | None = None, routing_key: str = "") -> Queue:
    return Queue(name, exchange=exchange, routing_key=routing_key, durable=True)


CALLS = _durable("calls", Exchange("calls", type="direct", durable=True), "calls")
# On the default exchange, whose routing keys are the queues' names: no binding to make, or to be forgotten by a Redis.
SHARD_QUEUES = tuple(
    _durable(f"{CALLS.name}.{shard}", routing_key=f"{CALLS.name}.{shard}") for shard in range(SHARDS)
)
TASK_QUEUES = (CALLS, *SHARD_QUEUES)
"""Where workers look for Celery tasks."""
INTAKE = _durable("calls.intake")
RESULTS_EXCHANGE = Exchange("results", type="topic", durable=True)
RESULTS = _durable("results", RESULTS_EXCHANGE, "#")


def queue_of(account: str) -> Queue:
    """The queue of the account's shard, the one on which its state is kept."""
    return SHARD_QUEUES[shard_of(account)]


def of_type(queue_type: str | None, queues: Iterable[Queue]) -> list[Queue]:
    """Return copies of `queues` that are declared with this type; None leaves the type to the broker."""
    copies: list[Any] = [copy(queue) for queue in queues]
    if queue_type is not None:
        for queue in copies:
            queue.queue_arguments = {"x-queue-type": queue_type}
    return copies
