"""Names and shapes of everything on the broker, shared by producer, consumer and results.

    calls ──direct──> calls           Celery tasks `calls.verify` and `calls.cancel`, from stock Celery producers
    (default) ──────> calls.0 … 15    the same, from this package's producer, by the account's shard: a flood
                                      of one account delays only the jobs of its own shard
                      calls.intake    plain JSON jobs and cancels, on AMQP only; on Redis a stream of this name takes
                                      its place
    results ──topic──> results (#)    terminal events, routing key = the event's type
                      results.listen.…  (call.*)  the same, for a `callworker webhooks listen` while it runs

Both sides of a queue must declare it in the same way, or an AMQP broker refuses the second one. A stock Celery or kombu
client declares it durable and without a type, so this program does too, and RabbitMQ's `default_queue_type` decides
whether that means a quorum queue. AMQP_QUEUE_TYPE names the type explicitly, see `of_type`. A queue that exists with
other properties is used as it is (`broker.declaring`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from copy import copy
from typing import Any

from kombu import Exchange, Queue

from worker.core.shards import SHARDS, shard_of

TASK_NAME, CANCEL_TASK_NAME = "calls.verify", "calls.cancel"


def _durable(name: str, exchange: Exchange | None = None, routing_key: str = "") -> Queue:
    return Queue(name, exchange=exchange, routing_key=routing_key, durable=True)


CALLS = _durable("calls", Exchange("calls", type="direct", durable=True), "calls")
# They use the default exchange, whose routing keys are the names of queues: there is no binding that Redis could lose.
SHARD_QUEUES = tuple(
    _durable(f"{CALLS.name}.{shard}", routing_key=f"{CALLS.name}.{shard}") for shard in range(SHARDS)
)
TASK_QUEUES = (CALLS, *SHARD_QUEUES)
"""The queues from which workers take Celery tasks."""
INTAKE = _durable("calls.intake")
RESULTS_EXCHANGE = Exchange("results", type="topic", durable=True)
RESULTS = _durable("results", RESULTS_EXCHANGE, "#")

_LISTENERS = "results.listen."


def listener(name: str | None = None, life_ms: int | None = None) -> Queue:
    """Return a queue for the events of calls that lives no longer than its one reader, by default with a new name.

    RabbitMQ also removes it if it was not read for `life_ms`. Do not set that on Redis: kombu would then let all
    bindings of the exchange expire, also those that other programs made.
    """
    # A quorum queue cannot be exclusive.
    arguments = {"x-queue-type": "classic"} | ({"x-expires": life_ms} if life_ms is not None else {})
    return Queue(
        name or f"{_LISTENERS}{uuid.uuid4().hex}",
        RESULTS_EXCHANGE,
        "call.*",
        durable=False,
        exclusive=True,
        auto_delete=True,
        queue_arguments=arguments,
    )


def is_listener(name: str) -> bool:
    """Return whether that is the name of a `listener`."""
    return name.startswith(_LISTENERS)


def queue_of(account: str) -> Queue:
    """Return the queue of the account's shard, the same shard that holds its state."""
    return SHARD_QUEUES[shard_of(account)]


def of_type(queue_type: str | None, queues: Iterable[Queue]) -> list[Queue]:
    """Return copies of `queues` that are declared with this type; None leaves the type to the broker."""
    copies: list[Any] = [copy(queue) for queue in queues]
    if queue_type is not None:
        for queue in copies:
            queue.queue_arguments = {"x-queue-type": queue_type}
    return copies
