"""Measures how fast one worker puts jobs into lanes, and how much Redis memory a waiting job takes."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

from ops.bench.contenders import new_job
from ops.bench.installation import Installation, start
from ops.bench.servers import Servers, servers
from ops.bench.waiting import wait_for_count
from worker.core.shards import SHARDS
from worker.producer import enqueue_many
from worker.state import keys

ONE_AN_HOUR = 'rate = "1/h"\nburst = 1\nttl = 86400'
POLL_SECONDS = 0.05


def measure(jobs: int, accounts: list[int], broker: str) -> tuple[str, dict[str, Any]]:
    """Measure with each number of accounts in turn. One job of each account is called, the others wait.

    Ids are as long as Celery's UUIDs.
    """
    found = []
    for number in accounts:
        with servers(broker, [0]) as running, ExitStack() as workers:
            names = [f"a{n}" for n in range(number)]
            site = start(running, dict.fromkeys(names, ONE_AN_HOUR), workers)
            found.append({"accounts": number, **_park(running, site, names, jobs)})
    lines = (
        f"{row['accounts']} account(s): {row['jobs_per_second']:,.0f} jobs/s into lanes, "
        f"{row['cpu_ms_per_job']:.3f} CPU ms/job, "
        f"{row['redis_ms_per_job']:.3f} Redis ms/job, {row['bytes_per_job']:.0f} bytes of Redis per waiting job"
        for row in found
    )
    return "\n".join(lines), {"parking": found}


def _park(running: Servers, installation: Installation, names: list[str], jobs: int) -> dict[str, float]:
    worker = installation.worker
    worker.pause()
    before = running.redis.used_bytes()
    flood = [new_job(f"park-{n:031}", names[n % len(names)]) for n in range(jobs)]
    enqueue_many(flood, broker_url=installation.site.broker_url)
    cpu, redis_cpu = worker.cpu_seconds(), running.redis.cpu_seconds()
    began = time.monotonic()
    worker.resume()
    parked = jobs - len(names)
    wait_for_count(
        lambda: _waiting(running),
        parked,
        poll_seconds=POLL_SECONDS,
        check=worker.check,
        trouble=worker.tail,
    )
    seconds = time.monotonic() - began
    cpu, redis_cpu = worker.cpu_seconds() - cpu, running.redis.cpu_seconds() - redis_cpu
    return {
        "jobs_per_second": jobs / seconds,
        "cpu_ms_per_job": cpu * 1000 / jobs,
        "redis_ms_per_job": redis_cpu * 1000 / jobs,
        "bytes_per_job": (running.redis.used_bytes() - before) / parked,
    }


def _waiting(running: Servers) -> int:
    """Return the number of waiting jobs from Redis. Asking the worker would cost it milliseconds with many accounts."""
    with running.redis.client.pipeline(transaction=False) as pipeline:
        for shard in range(SHARDS):
            pipeline.zcard(keys.prefix(shard) + "expiry")
        return sum(pipeline.execute())
