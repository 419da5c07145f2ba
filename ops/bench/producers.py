"""Measures what it costs a program to send jobs: with the client, with stock Celery, and as this package once did."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import Celery

from callworker import AsyncClient, Client
from callworker.message import VERIFY
from ops.bench.servers import BenchRedis
from ops.bench.table import aligned
from tests.faults.servers import Rabbit
from worker.broker.message import Message
from worker.broker.publisher import Publisher
from worker.broker.queues import SHARD_QUEUES, queue_of

BATCH = 500
SINGLE_SHARE = 5
"""One in so many jobs is sent where each is sent by itself."""
ACCOUNTS = 50
SECONDS = 60.0
"""The longest wait for the broker."""
COLUMNS = ("broker", "way", "jobs/s", "CPU ms/job")

Job = dict[str, str]
Send = Callable[[Sequence[Job]], object]


def measure(jobs: int, brokers: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return a table, and each figure by broker and way."""
    rows, data = [COLUMNS], dict[str, Any]()
    for broker in brokers:
        with _server(broker) as url:
            for way, (send, share) in _ways(url).items():
                per_second, cpu_ms = _timed(send, _jobs(jobs // share))
                rows.append((broker, way, f"{per_second:,.0f}", f"{cpu_ms:.3f}"))
                data[f"{broker}, {way}"] = {"jobs_per_second": per_second, "cpu_ms_per_job": cpu_ms}
    return aligned(rows), data


def _timed(send: Send, jobs: Sequence[Job]) -> tuple[float, float]:
    """Return jobs per second, and this process' CPU time for each in ms, once the connection is made."""
    send(jobs[:BATCH])
    started, spent = time.perf_counter(), time.process_time()
    send(jobs)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - spent
    return len(jobs) / seconds, cpu_seconds / len(jobs) * 1000


def _jobs(count: int) -> list[Job]:
    return [
        {
            "id": f"job-{n}",
            "account": f"a{n % ACCOUNTS}",
            "country": "1",
            "phone": "2125550123",
            "code": "48151",
        }
        for n in range(count)
    ]


def _ways(url: str) -> dict[str, tuple[Send, int]]:
    """Return each way to send jobs, with the share of them that it is given: one in so many."""
    client = Client(url, timeout=SECONDS)
    return {
        "client, in batches": (client.enqueue_many, 1),
        "client, one by one": (lambda jobs: [client.enqueue(job) for job in jobs], SINGLE_SHARE),
        "client for asyncio, in batches": (lambda jobs: asyncio.run(_together(url, jobs)), 1),
        "client for asyncio, one by one": (lambda jobs: asyncio.run(_each(url, jobs)), SINGLE_SHARE),
        "Celery's send_task": (_celery(url), SINGLE_SHARE),
        "producer of 0.1.0, in batches": (_with_kombu(url), 1),
    }


async def _together(url: str, jobs: Sequence[Job]) -> None:
    async with AsyncClient(url, timeout=SECONDS) as client:
        await client.enqueue_many(jobs)


async def _each(url: str, jobs: Sequence[Job]) -> None:
    async with AsyncClient(url, timeout=SECONDS) as client:
        for job in jobs:
            await client.enqueue(job)


def _celery(url: str) -> Send:
    """Send as a program does that only has Celery; on RabbitMQ with confirms, without which messages may be lost."""
    app = Celery("bench", broker=url, set_as_current=False)
    app.conf.broker_transport_options = {"confirm_publish": True} if url.startswith("amqp") else {}

    def send(jobs: Sequence[Job]) -> None:
        for job in jobs:
            app.send_task(VERIFY, kwargs=job, task_id=job["id"], queue="calls", ignore_result=True)

    return send


def _with_kombu(url: str) -> Send:
    """Send as version 0.1.0 did, but without a check: Celery makes each message, kombu's connection sends them."""
    app, publisher = Celery("bench", set_as_current=False), Publisher(url, [])

    def message(job: Job) -> Message:
        task: Any = app.amqp.as_task_v2(job["id"], VERIFY, kwargs=job, ignore_result=True)
        body = json.dumps(task.body, ensure_ascii=False, separators=(",", ":")).encode()
        return Message(body, queue_of(job["account"]).name, headers=task.headers, properties=task.properties)

    def send(jobs: Sequence[Job]) -> None:
        for start in range(0, len(jobs), BATCH):
            publisher.publish([message(job) for job in jobs[start : start + BATCH]], SHARD_QUEUES)

    return send


@contextmanager
def _server(broker: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="cw-bench-") as folder:
        server = BenchRedis(Path(folder)) if broker == "redis" else Rabbit(Path(folder))
        with server:
            yield server.url
