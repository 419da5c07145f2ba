"""The bootstep for plain JSON jobs on AMQP."""

from __future__ import annotations

from typing import Any

from celery import bootsteps
from kombu.common import ignore_errors


class PlainIntakeStep(bootsteps.StartStopStep):
    """Consumes plain JSON jobs from the AMQP queue `calls.intake` over the worker's own connection."""

    name = "callworker plain intake"
    requires = ("worker.celery_edge.consuming:CallTasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._consumers: list[Any] = []

    def start(self, consumer: Any) -> None:
        self._consumers = consumer.plain_consumers(consumer.connection.channel())
        for plain in self._consumers:
            plain.consume()

    def stop(self, consumer: Any) -> None:
        """Stop consuming. Celery also calls this if an earlier step failed and this one was never started."""
        consumers, self._consumers = self._consumers, []
        for plain in consumers:
            ignore_errors(consumer, plain.cancel)
