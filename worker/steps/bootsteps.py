"""Bootsteps: where the engine and the plain intake live in Celery's worker."""

from __future__ import annotations

from typing import Any

from celery import bootsteps

from worker.engine.engine import Engine
from worker.wiring import Wiring


class EngineStep(bootsteps.StartStopStep):
    """The engine, started before the consumer takes messages and stopped after it has let go of them."""

    name = "callworker engine"
    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        worker.engine = None

    def create(self, worker: Any) -> Engine:
        engine = Wiring(worker.settings, threads=worker.concurrency).engine
        worker.engine = engine
        return engine

    def start(self, worker: Any) -> None:
        worker.engine.start()

    def stop(self, worker: Any) -> None:
        worker.engine.stop(worker.settings.grace_seconds)

    def terminate(self, worker: Any) -> None:
        worker.engine.stop(0.0)


class PlainIntakeStep(bootsteps.StartStopStep):
    """Consumes plain JSON jobs from the AMQP queue `calls.intake` over the worker's own connection."""

    name = "callworker plain intake"
    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        self._consumers = consumer.plain_consumers(consumer.connection.channel())
        for plain in self._consumers:
            plain.consume()

    def stop(self, consumer: Any) -> None:
        for plain in self._consumers:
            plain.cancel()
