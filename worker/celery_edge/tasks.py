"""The Celery tasks that producers name."""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task

from worker.broker.queues import CANCEL_TASK_NAME, TASK_NAME
from worker.errors import ConfigurationError


@shared_task(name=TASK_NAME, bind=True, ignore_result=True, typing=False)
def verify(self: Task, **job: Any) -> None:
    """Place a verification call. The keyword arguments are the fields of the job.

    A worker of this project never runs this body: its consumer passes the message to the intake, which admits jobs in
    batches (`worker.celery_edge.consumer`). So it runs only without such a worker, when it is called directly or
    eagerly.
    """
    raise _only_in_a_worker(self)


@shared_task(name=CANCEL_TASK_NAME, bind=True, ignore_result=True, typing=False)
def cancel(self: Task, **job: Any) -> None:
    """Take back a job that waits: `id`, and `account` if it must be of that account. Runs as `verify` does."""
    raise _only_in_a_worker(self)


def _only_in_a_worker(task: Task) -> ConfigurationError:
    return ConfigurationError(
        f"{task.name} runs only in a callworker worker: send it with .delay(…) or worker.producer"
    )
