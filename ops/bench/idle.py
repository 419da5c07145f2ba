"""Measures the latency of an idle worker: from before a producer sends a job until the provider has its request.

And what an idle worker costs Redis, as one of twenty: for one alone the noise of Redis itself is too large.
"""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from typing import Any

from ops.bench.contenders import CallWorker, new_job
from ops.bench.figures import percentile
from ops.bench.installation import UNLIMITED, launch, start
from ops.bench.servers import BenchRedis, servers
from ops.bench.waiting import wait_for_count
from worker.core.jobs import Job
from worker.engine.presence import REPLACES_SECONDS
from worker.producer import Producer

WARMUP = 50
PAUSE_SECONDS = (0.02, 0.06)
REST_SECONDS = 10.0
FLEET = 20
SETTLED_SECONDS = REPLACES_SECONDS + 2.0
"""The age at which workers no longer look for a lost one whose place they take."""


def measure(jobs: int, broker: str) -> tuple[str, dict[str, Any]]:
    """Send jobs one by one, each to an idle worker. The figures include the producer's own time."""
    with servers(broker, [0], log=True) as running, ExitStack() as workers:
        alone_ms = _redis_ms_per_second(running.redis)
        site = start(running, {"bench": UNLIMITED}, workers).site
        provider = running.logging
        with Producer(site.broker_url) as producer:
            sent = _send(producer, WARMUP + jobs)
        wait_for_count(provider.count, WARMUP + jobs)
        came = {phone: unix for unix, _, phone in provider.log()}
        more = [launch(CallWorker(), site, running.folder, workers) for _ in range(FLEET - 1)]
        for worker in more:
            worker.wait_until_at_rest()
        time.sleep(SETTLED_SECONDS)
        each_ms = (_redis_ms_per_second(running.redis) - alone_ms) / FLEET
    waits_ms = [(came[phone] - unix) * 1000 for phone, unix in list(sent.items())[WARMUP:]]
    found = {
        "p50_ms": percentile(waits_ms, 0.5),
        "p99_ms": percentile(waits_ms, 0.99),
        "worst_ms": max(waits_ms),
    }
    words = ", ".join(f"{name.removesuffix('_ms')} {value:.1f} ms" for name, value in found.items())
    text = (
        f"enqueued to request sent, idle worker, {jobs} jobs: {words}\n"
        f"CPU time of Redis for each of {FLEET} idle workers: {each_ms:.2f} ms a second"
    )
    return text, {"idle": found | {"redis_ms_per_second": each_ms}}


def _redis_ms_per_second(server: BenchRedis) -> float:
    """Return the CPU time that Redis takes now, in ms each second."""
    spent, began = server.cpu_seconds(), time.monotonic()
    time.sleep(REST_SECONDS)
    return (server.cpu_seconds() - spent) * 1000 / (time.monotonic() - began)


def _send(producer: Producer, jobs: int) -> dict[str, float]:
    """Send the jobs. Return when each was sent (Unix seconds), by its unique number."""
    sent = {}
    for number in range(jobs):
        phone = str(2_120_000_000 + number)
        job = Job.parse(new_job(f"idle-{number}", "bench", phone))
        time.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 (so that no poll stays in step)
        sent[phone] = time.time()
        producer.enqueue(job)
    return sent
