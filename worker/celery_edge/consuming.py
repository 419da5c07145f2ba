"""Celery's step that consumes tasks, changed for quorum queues and for queues that exist already."""

from __future__ import annotations

from typing import Any

from celery.app.amqp import AMQP
from celery.worker.consumer.tasks import Tasks

from worker.broker.connection import connection_to


class CallTasks(Tasks):
    """Counts prefetch per consumer, which every type of queue allows. Quorum queues refuse a count per channel."""

    def qos_global(self, c: Any) -> bool:
        return False


class CallAMQP(AMQP):
    """Consumes from the queues that `CallConsumer.connect` declared. To declare each again takes three round trips."""

    def Connection(self, url: str, *_: Any, **options: Any) -> Any:  # noqa: N802 (Celery's name)
        """Make Celery's connections as all others are made. Celery only chooses how long they wait."""
        own = ("heartbeat", "transport_options", "connect_timeout")
        return connection_to(url, **{name: options[name] for name in own})

    def TaskConsumer(self, *args: Any, **options: Any) -> Any:  # noqa: N802 (Celery's name)
        return super().TaskConsumer(*args, auto_declare=False, **options)
