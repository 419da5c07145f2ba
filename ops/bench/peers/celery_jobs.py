"""The bare and the full job on stock Celery, threads pool: `celery -A celery_jobs worker`."""

from __future__ import annotations

import threading
from typing import Any

import full
import redis
import requests
from celery import Celery, Task
from pydantic import ValidationError
from shared import (
    BROKER_URL,
    CALL_URL,
    CONNECTIONS,
    IN_FLIGHT,
    REDIS_URL,
    TIMEOUT_SECONDS,
    asked_for,
    form,
    outcome_key,
    ref_in,
)

app = Celery("bench", broker=BROKER_URL)
app.conf.update(
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    broker_pool_limit=IN_FLIGHT,
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
)
if BROKER_URL.startswith("amqp"):
    app.conf.update(
        task_default_queue_type="quorum",
        worker_detect_quorum_queues=True,
        broker_transport_options={"confirm_publish": True},
    )
store = redis.Redis.from_pool(redis.BlockingConnectionPool.from_url(REDIS_URL, max_connections=CONNECTIONS))
admit, settle = store.register_script(full.ADMIT), store.register_script(full.SETTLE)
local = threading.local()


def call(job: dict[str, Any]) -> str:
    """Send the POST over this thread's own session and return the ref."""
    if not hasattr(local, "session"):
        local.session = requests.Session()
        local.session.trust_env = False
    return ref_in(local.session.post(CALL_URL, form(job), timeout=TIMEOUT_SECONDS).content)


@app.task(name="bench.bare")
def bare(job: dict[str, Any]) -> None:
    store.hset(outcome_key(job["id"]), mapping={"status": "placed", "ref": call(job)})


@app.task(name="bench.full", bind=True, acks_late=True, reject_on_worker_lost=True, max_retries=None)
def full_job(self: Task, fields: dict[str, Any]) -> None:
    try:
        job = full.VerificationJob(**fields)
    except ValidationError as error:
        settle(**full.rejected(fields, error))
        return
    wait_us = admit(**full.admission(job))
    if wait_us > 0:
        raise self.retry(countdown=wait_us / 1_000_000)
    if wait_us == 0:
        settle(**full.placed(job, call(fields)))


if __name__ == "__main__":
    kind, jobs = asked_for()
    task = {"bare": bare, "full": full_job}[kind]
    with app.producer_pool.acquire(block=True) as producer:
        for each in jobs:
            task.apply_async((each,), producer=producer)
