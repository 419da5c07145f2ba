"""Measures webhooks: deliveries a second and their cost, beside a plain loop, and the effect of endpoints that hang."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, astuple, dataclass
from statistics import median
from typing import Any

import requests

from ops.bench import hooks, isolation
from ops.bench.contenders import new_job
from ops.bench.installation import Installation, start
from ops.bench.servers import Counting, Servers, servers
from ops.bench.table import aligned
from ops.bench.waiting import wait_for_count
from tests.faults.servers import ServerTrouble
from worker.configuration.signing_secrets import signing_secret
from worker.core.jobs import Job
from worker.delivery.signing import signatures

WARMUP = 200
ACCOUNT = "bench"


@dataclass(frozen=True)
class Sample:
    """The figures of one trial. The plain loop does not ask Redis."""

    per_second: float
    cpu_ms: float
    redis_cpu_ms: float = 0.0


def measure(deliveries: int, rounds: int, others: int, waiting: int) -> tuple[str, dict[str, Any]]:
    """Alternate worker and plain loop, and take the medians of the rounds. Then measure the isolation, as often."""
    with servers("redis", [0]) as running:
        rows = [(_worker(running, deliveries), _loop(running, deliveries)) for _ in range(rounds)]
    own, plain = (_middle(samples) for samples in zip(*rows, strict=True))
    text, apart = isolation.measure(others, waiting, rounds)
    samples = [[asdict(sample) for sample in row] for row in rows]
    data = {"webhooks": asdict(own), "loop": asdict(plain), "samples": samples, "isolation": apart}
    return f"{_told(own, plain)}\n\n{text}", data


def _worker(running: Servers, count: int) -> Sample:
    """Fill the lane of one endpoint while the worker is paused, and then continue the worker."""
    running.empty()
    with ExitStack() as exits:
        trial = _Trial(running, exits)
        trial.fill("warm-", WARMUP)
        trial.wait()
        worker = trial.installation.worker
        worker.pause()
        trial.fill("hook-", count)
        cpu, redis_cpu, began = worker.cpu_seconds(), running.redis.cpu_seconds(), time.monotonic()
        worker.resume()
        trial.wait()
        seconds = time.monotonic() - began
        cpu, redis_cpu = worker.cpu_seconds() - cpu, running.redis.cpu_seconds() - redis_cpu
    return Sample(count / seconds, cpu * 1000 / count, redis_cpu * 1000 / count)


class _Trial:
    """A worker whose only endpoint is the fast server."""

    def __init__(self, running: Servers, exits: ExitStack) -> None:
        self._server, self._redis = running.providers[0], running.redis
        self._url = f"{self._server.url}/hook"
        self._before, self._filled = self._server.count(), 0
        limits = {ACCOUNT: hooks.limits(ACCOUNT, self._url)}
        self.installation: Installation = start(running, limits, exits, at_rest=True, **hooks.SECRETS)

    def fill(self, prefix: str, count: int) -> None:
        hooks.fill(self._redis, ACCOUNT, self._url, count, prefix)
        self._filled += count

    def wait(self) -> None:
        """Wait until all are on record as delivered. Raises ServerTrouble if one was sent twice."""
        worker = self.installation.worker
        wait_for_count(self._over, self._filled, check=worker.check, trouble=worker.tail)
        if (count := self._server.count() - self._before) != self._filled:
            raise ServerTrouble(f"{count} requests for {self._filled} deliveries")

    def _over(self) -> int:
        return self._filled - hooks.pending(self._redis, ACCOUNT)


def _loop(running: Servers, count: int) -> Sample:
    """Post as many events of the same kind, signed in the same way, one after another."""
    server: Counting = running.providers[0]
    jobs = [Job.parse(new_job(f"hook-{number}", ACCOUNT)) for number in range(count)]
    events = [hooks.event_of(job, time.time_ns() // 1000) for job in jobs]
    secrets = [signing_secret(hooks.SECRET, "the bench")]
    url, cpu, began = f"{server.url}/hook", time.process_time(), time.monotonic()
    with requests.Session() as session:
        for event in events:
            now, body = int(time.time()), event.body.encode()
            headers = {
                "content-type": "application/json",
                "webhook-id": event.id,
                "webhook-timestamp": str(now),
                "webhook-signature": signatures(secrets, event.id, now, body),
            }
            session.post(url, data=body, headers=headers, timeout=15).raise_for_status()
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    return Sample(count / seconds, cpu * 1000 / count)


def _middle(samples: Sequence[Sample]) -> Sample:
    """Return the median of each figure by itself."""
    return Sample(*map(median, zip(*map(astuple, samples), strict=True)))


def _told(own: Sample, plain: Sample) -> str:
    ratio = f"{own.per_second / plain.per_second:.2f}x"
    return aligned(
        [
            ("one endpoint that answers at once", "deliveries/s", "CPU ms each", "Redis ms each", "ratio"),
            ("callworker, one worker", *_row(own), f"{own.redis_cpu_ms:.3f}", ratio),
            ("a loop of requests.Session", *_row(plain), "", "1.00x"),
        ]
    )


def _row(sample: Sample) -> tuple[str, str]:
    return f"{sample.per_second:,.0f}", f"{sample.cpu_ms:.3f}"
