"""Celery's step that consumes tasks, fit for quorum queues."""

from __future__ import annotations

from typing import Any

from celery.worker.consumer.tasks import Tasks


class CallTasks(Tasks):
    """Prefetch is counted per consumer, which every kind of queue allows; quorum queues refuse a count per channel."""

    def qos_global(self, c: Any) -> bool:
        return False
