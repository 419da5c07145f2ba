"""Measures how many hanging calls affect the jobs of other accounts, memory and shutdown."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from typing import Any

from ops.bench.contenders import CallWorker, new_job
from ops.bench.figures import percentile
from ops.bench.installation import UNLIMITED, Installation, start
from ops.bench.servers import Servers, servers
from ops.bench.waiting import wait_for_count
from tests.faults.servers import ServerTrouble
from worker.producer import Producer

OTHERS = 200
PAUSE_SECONDS = (0.02, 0.06)
SPARE_PLACES, SPARE_SECONDS = 100, 30
STUCK = f"{UNLIMITED}\nredials = 0"


def measure(calls: int, seconds: int, broker: str) -> tuple[str, dict[str, Any]]:
    """Let `calls` hang for `seconds` each, twice: first to their end, then with the worker told to stop meanwhile."""
    with servers(broker, [0], log=True) as running, ExitStack() as workers:
        worker = start(
            running,
            {"bench": UNLIMITED, "stuck": STUCK},
            workers,
            CONCURRENCY=str(calls + SPARE_PLACES),
            PROXSTOP_TIMEOUT=str(seconds),
            SHUTDOWN_GRACE=str(seconds + SPARE_SECONDS),
        )
        stall = _Stall(running, worker, calls)
        found = {"calls": calls, "seconds": seconds, **stall.ride_out(seconds), **stall.stop()}
    return _told(found), {"stalls": found}


class _Stall:
    def __init__(self, running: Servers, installation: Installation, calls: int) -> None:
        provider = running.logging
        self._running, self._provider, self._calls = running, provider, calls
        self._site, self._worker = installation.site, installation.worker
        self._sent = 0

    def ride_out(self, seconds: int) -> dict[str, float]:
        """Measure the others' latency before and during the stall, memory, and the time until the last outcome."""
        with Producer(self._site.broker_url) as producer:
            before = self._others(producer)
            idle_bytes = self._worker.peak_bytes()
            self._hang()
            began = time.monotonic()
            during = self._others(producer)
        wait_for_count(self._outcomes, self._sent)
        return {
            "before_p50_ms": percentile(before, 0.5),
            "before_p99_ms": percentile(before, 0.99),
            "during_p50_ms": percentile(during, 0.5),
            "during_p99_ms": percentile(during, 0.99),
            "more_mb": (self._worker.peak_bytes() - idle_bytes) / 1_000_000,
            "late_s": time.monotonic() - began - seconds,
        }

    def stop(self) -> dict[str, float]:
        """Measure how long the worker takes to end with all these calls in flight, and to publish every outcome.
        Raises ServerTrouble."""
        self._hang()
        began = time.monotonic()
        status = self._worker.end_status(self._calls + SPARE_SECONDS)
        if status != 0 or self._outcomes() != self._sent:
            raise ServerTrouble(f"exit status {status}, {self._outcomes()} of {self._sent} outcomes")
        return {"stop_s": time.monotonic() - began}

    def _hang(self) -> None:
        """Add `calls` more calls that are not answered; return when all are in flight."""
        jobs = [new_job(f"stuck-{self._sent + n}", "stuck", "9125550199") for n in range(self._calls)]
        with Producer(self._site.broker_url) as producer:
            producer.enqueue_many(jobs)
        self._sent += self._calls
        wait_for_count(self._provider.count, self._sent)

    def _others(self, producer: Producer) -> list[float]:
        """Send some jobs of another account; return the ms from enqueuing each until the provider has its request."""
        sent = {}
        for _ in range(OTHERS):
            phone = str(2_120_000_000 + self._sent)
            time.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 (so that no poll stays in step)
            sent[phone] = time.time()
            producer.enqueue(new_job(f"other-{self._sent}", "bench", phone))
            self._sent += 1
        wait_for_count(self._provider.count, self._sent)
        came = {phone: unix for unix, _, phone in self._provider.log()}
        return [(came[phone] - unix) * 1000 for phone, unix in sent.items()]

    def _outcomes(self) -> int:
        """Return the number of events on the results queue."""
        return CallWorker().finished(self._site, self._running.redis.client)


def _told(found: dict[str, Any]) -> str:
    return (
        f"{found['calls']:,} calls that hang for {found['seconds']} s: another account's jobs are sent after "
        f"p50 {found['during_p50_ms']:.1f} ms, p99 {found['during_p99_ms']:.1f} ms "
        f"(before: {found['before_p50_ms']:.1f} and {found['before_p99_ms']:.1f}); "
        f"{found['more_mb']:.0f} MB more memory; every outcome out {found['late_s']:.1f} s after the time limit.\n"
        f"Told to stop with as many in flight: exit status 0 after {found['stop_s']:.1f} s, every outcome out."
    )
