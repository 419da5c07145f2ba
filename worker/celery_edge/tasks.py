"""The Celery task that producers name."""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task

from worker.broker.queues import TASK_NAME
from worker.errors import ConfigurationError


@shared_task(name=TASK_NAME, bind=True, ignore_result=True, typing=False)
def verify(self: Task, **job: Any) -> None:
    """Place a verification call; the keyword arguments are the job's fields.

    A worker of this project never runs this body: its consumer hands the message to the intake, which admits in
    batches (`worker.celery_edge.consumer`). So it is reached only where no such worker is: called directly, or eagerly.
    """
    raise ConfigurationError(
        f"{self.name} runs in a callworker worker only: send it with .delay(…) or enqueue()"
    )
