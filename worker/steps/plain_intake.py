"""The bootstep for plain JSON jobs on AMQP."""

from __future__ import annotations

from typing import Any

from celery import bootsteps


class PlainIntakeStep(bootsteps.StartStopStep):
    """Consumes plain JSON jobs from the AMQP queue `calls.intake` over the worker's own connection."""

    name = "callworker plain intake"
    requires = ("worker.steps.tasks:CallTasks",)

    def start(self, consumer: Any) -> None:
        self._consumers = consumer.plain_consumers(consumer.connection.channel())
        for plain in self._consumers:
            plain.consume()

    def stop(self, consumer: Any) -> None:
        for plain in self._consumers:
            plain.cancel()
