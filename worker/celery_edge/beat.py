"""The bootstep that tells the engine's watch that Celery's consumer still runs."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

from celery import bootsteps

BEAT_SECONDS = 1.0


class BeatStep(bootsteps.StartStopStep):
    """Beats by the timer of the consumer's event loop. If the loop is stuck, its socket can be cut from outside."""

    name = "callworker beat"
    requires = ("worker.celery_edge.consuming:CallTasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        consumer.watch.attach(lambda: _cut(consumer))
        self._timer = consumer.timer.call_repeatedly(BEAT_SECONDS, consumer.watch.beat)

    def stop(self, consumer: Any) -> None:
        """Stop beating. Celery also calls this if an earlier step failed and this one was never started."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            consumer.watch.detach()


def _cut(consumer: Any) -> None:
    """Cut the consumer's connection: the consumer wakes with an error, and Celery connects again."""
    with suppress(OSError, AttributeError):
        consumer.connection.connection.sock.shutdown(socket.SHUT_RDWR)
