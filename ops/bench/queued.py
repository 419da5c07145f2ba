"""Measures what a job in the broker takes that no worker has taken, and an event that nobody has read."""

from __future__ import annotations

import os
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ops.bench.contenders import CallWorker, new_job
from ops.bench.installation import UNLIMITED, Installation, start
from ops.bench.processes import resident_bytes_of
from ops.bench.scrape import Page
from ops.bench.servers import Servers, servers
from ops.bench.waiting import wait_for_count
from tests.processes import free_port
from worker.producer import Producer

_BLOCK_BYTES = 512


def measure(broker: str, jobs: int) -> dict[str, float]:
    """Return the bytes of a job and of an event: on Redis of its memory, on RabbitMQ of its disk and its memory."""
    with servers(broker, [0]) as running, ExitStack() as exits:
        page = Page(free_port())
        installed = start(running, {"bench": UNLIMITED}, exits, METRICS_PORT=str(page.port))
        page.wait_until_ready(installed.worker)
        return (
            _with_rabbitmq(running, installed, jobs)
            if running.is_amqp
            else _with_redis(running, installed, jobs)
        )


def _with_redis(running: Servers, installed: Installation, jobs: int) -> dict[str, float]:
    redis = running.redis
    empty = redis.used_bytes()
    _queue(installed, jobs)
    queued = redis.used_bytes()
    _finish(running, installed, jobs)
    unread = redis.used_bytes()
    redis.client.delete("results")
    return {"job_bytes": (queued - empty) / jobs, "event_bytes": (unread - redis.used_bytes()) / jobs}


def _with_rabbitmq(running: Servers, installed: Installation, jobs: int) -> dict[str, float]:
    empty = _used(running)
    _queue(installed, jobs)
    queued = _used(running)
    _finish(running, installed, jobs)
    unread = _used(running)
    return {
        "job_bytes": (queued[0] - empty[0]) / jobs,
        "event_bytes": (unread[0] - queued[0]) / jobs,
        "job_memory_bytes": (queued[1] - empty[1]) / jobs,
        "event_memory_bytes": (unread[1] - queued[1]) / jobs,
    }


def _queue(installed: Installation, jobs: int) -> None:
    """Stop the worker from taking anything, and send the jobs."""
    installed.worker.pause()
    with Producer(installed.site.broker_url) as producer:
        producer.enqueue_many([new_job(str(uuid.uuid4()), "bench") for _ in range(jobs)])


def _finish(running: Servers, installed: Installation, jobs: int) -> None:
    installed.worker.resume()
    client: Any = running.redis.client
    wait_for_count(lambda: CallWorker().finished(installed.site, client), jobs, check=installed.worker.check)
    installed.worker.wait_until_at_rest()


def _used(running: Servers) -> tuple[int, int]:
    """Return RabbitMQ's bytes on disk, and in memory."""
    assert running.rabbit is not None  # noqa: S101 (the broker is RabbitMQ)
    return _folder_bytes(running.folder.parent / "rabbit"), resident_bytes_of(running.rabbit.pid)


def _folder_bytes(folder: Path) -> int:
    paths = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    return sum(path.stat().st_blocks * _BLOCK_BYTES for path in paths if path.exists())
