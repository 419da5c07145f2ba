"""Celery's step that consumes tasks, fit for quorum queues and for queues that are there already."""

from __future__ import annotations

from typing import Any

from celery.app.amqp import AMQP
from celery.worker.consumer.tasks import Tasks

from worker.broker.connection import connection_to


class CallTasks(Tasks):
    """Prefetch is counted per consumer, which every kind of queue allows; quorum queues refuse a count per channel."""

    def qos_global(self, c: Any) -> bool:
        return False


class CallAMQP(AMQP):
    """Consumes from queues that were declared as the connection was made (`CallConsumer.connect`): to declare each once
    more takes three round trips of the broker."""

    def Connection(self, url: str, *_: Any, **options: Any) -> Any:  # noqa: N802 (Celery's name)
        """Every connection of Celery's is made as all others are; only how long it waits is its own affair."""
        own = ("heartbeat", "transport_options", "connect_timeout")
        return connection_to(url, **{name: options[name] for name in own})

    def TaskConsumer(self, *args: Any, **options: Any) -> Any:  # noqa: N802 (Celery's name)
        return super().TaskConsumer(*args, auto_declare=False, **options)
