"""The Celery task that producers name."""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task

from worker.broker.queues import TASK_NAME
from worker.errors import ConfigurationError


@shared_task(name=TASK_NAME, bind=True, ignore_result=True, typing=False)
def verify(self: Task, **job: Any) -> None:
    """Place a verification call. The keyword arguments are the fields of the job.

    A worker of this project never runs this body: its consumer passes the message to the intake, which admits jobs in
    batches (`worker.celery_edge.consumer`). So it runs only without such a worker, when it is called directly or
    eagerly.
    """
    raise ConfigurationError(
        f"{self.name} runs only in a callworker worker: send it with .delay(…) or enqueue()"
    )
