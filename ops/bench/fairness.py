"""Measures the latency of a job behind another account's flood, in another shard's queue and in the flood's own."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack, closing
from typing import Any

from ops.bench.contenders import new_job
from ops.bench.figures import percentile
from ops.bench.installation import UNLIMITED, Installation, start
from ops.bench.parking import ONE_AN_HOUR
from ops.bench.processes import WorkerTree
from ops.bench.servers import servers
from ops.bench.waiting import wait_for_count
from worker.broker.queues import queue_of
from worker.core.jobs import Job
from worker.errors import BrokerUnavailable
from worker.inbound.depth import QueueDepths
from worker.producer import Producer, enqueue_many

FLOOD = "flood"
QUEUE = queue_of(FLOOD).name
_NAMES = [f"a{n}" for n in range(1000)]
BEHIND = next(name for name in _NAMES if queue_of(name).name == QUEUE)
"""An account in the same shard as the flood."""
APART = next(name for name in _NAMES if queue_of(name).name != QUEUE)
PAUSE_SECONDS = (0.02, 0.1)


def measure(jobs: int, broker: str) -> tuple[str, dict[str, Any]]:
    """Enqueue the flood before the worker starts, then one job of each kind, then jobs of APART one after another
    until the flood is over. The figures include the producer's own time."""
    limits = {FLOOD: ONE_AN_HOUR, BEHIND: UNLIMITED, APART: UNLIMITED}
    with servers(broker, [0], log=True) as running, ExitStack() as workers:
        flood = [new_job(f"flood-{n}", FLOOD, "2125550000") for n in range(jobs)]
        enqueue_many(flood, broker_url=running.broker_url)
        installation = start(running, limits, workers, at_rest=False)
        provider = running.logging
        sent, seconds = _send(installation, jobs)
        wait_for_count(provider.count, len(sent) + 1)
        came = {phone: unix for unix, _, phone in provider.log()}
    behind, *apart = (came[phone] - unix for phone, unix in sent.items())
    found = {
        "jobs_per_second": jobs / seconds,
        "probes": len(apart),
        "p50_ms": percentile(apart, 0.5) * 1000,
        "p99_ms": percentile(apart, 0.99) * 1000,
        "worst_ms": max(apart) * 1000,
        "same_shard_ms": behind * 1000,
    }
    return _told(jobs, found), {"fairness": found}


def _told(jobs: int, found: dict[str, float]) -> str:
    return (
        f"behind {jobs:,} jobs of one account, which go into its lane at {found['jobs_per_second']:,.0f} a second, "
        f"enqueued to request sent: {found['probes']} jobs of another shard p50 {found['p50_ms']:.0f} ms, "
        f"p99 {found['p99_ms']:.0f} ms, worst {found['worst_ms']:.0f} ms; "
        f"one of the same shard {found['same_shard_ms']:,.0f} ms"
    )


def _send(installation: Installation, jobs: int) -> tuple[dict[str, float], float]:
    """Return when each job was sent (Unix seconds), by its number, BEHIND's first, and how long the flood took."""
    broker_url = installation.site.broker_url
    sent: dict[str, float] = {}
    with Producer(broker_url) as producer, closing(QueueDepths(broker_url)) as depths:
        _enqueue(producer, BEHIND, sent)
        began = _when_it_moves(depths, jobs, installation.worker)
        while depths.read()[QUEUE]:
            installation.worker.check()
            time.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 (so that no batch stays in step)
            _enqueue(producer, APART, sent)
    return sent, time.monotonic() - began


def _when_it_moves(depths: QueueDepths, jobs: int, worker: WorkerTree) -> float:
    """Wait until the worker has begun to take the flood; return that moment (monotonic)."""
    wait_for_count(lambda: int(_left(depths, jobs + 1) <= jobs), 1, check=worker.check, trouble=worker.tail)
    return time.monotonic()


def _left(depths: QueueDepths, all_of_them: int) -> int:
    """Return how many jobs of the flood no worker has taken. On AMQP the first worker creates some of the queues."""
    try:
        return depths.read()[QUEUE]
    except BrokerUnavailable:
        return all_of_them


def _enqueue(producer: Producer, account: str, sent: dict[str, float]) -> None:
    """Send a job with a number of its own."""
    phone = str(2_120_000_000 + len(sent))
    job = Job.parse(new_job(f"probe-{len(sent)}", account, phone))
    sent[phone] = time.time()
    producer.enqueue(job)
