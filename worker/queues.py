"""Names and shapes of everything on the broker, shared by producer, consumer and results.

    calls ──direct──> calls           Celery tasks `calls.verify`
                      calls.intake    plain JSON jobs, on AMQP only; on Redis a stream of this name takes
                      its place
    results ──topic──> results (#)    terminal events, routing key = the event's type

Both sides of a queue must declare it alike, or an AMQP broker refuses the second one. A stock Celery or kombu client
declares it durable and without a type, so this program does too, and RabbitMQ's own `default_queue_type` says whether
that means a quorum queue. AMQP_QUEUE_TYPE (checked in `Settings`) names the type outright. A queue that somebody has
declared otherwise before is used as it is (`broker.declaring`).
"""

from __future__ import annotations

import os

from kombu import Exchange, Queue

TASK_NAME = "calls.verify"


_TYPE = os.environ.get("AMQP_QUEUE_TYPE", "").strip().lower()
_ARGUMENTS = {"x-queue-type": _TYPE} if _TYPE in ("quorum", "classic") else None


def _durable(name: str, exchange: Exchange | None = None, routing_key: str = "") -> Queue:
    return Queue(name, exchange=exchange, routing_key=routing_key, durable=True, queue_arguments=_ARGUMENTS)


CALLS = _durable("calls", Exchange("calls", type="direct", durable=True), "calls")
INTAKE = _durable("calls.intake")
RESULTS_EXCHANGE = Exchange("results", type="topic", durable=True)
RESULTS = _durable("results", RESULTS_EXCHANGE, "#")
