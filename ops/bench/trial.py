"""One trial: warm workers, a full queue, and the time and CPU until all of it is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from ops.bench.contenders import Contender, Site
from ops.bench.installation import UNLIMITED, accounts_file, launch
from ops.bench.processes import WorkerTree
from ops.bench.servers import Servers
from ops.bench.waiting import wait_for_count
from tests.faults.servers import ServerTrouble

IN_FLIGHT_WHERE_SLOW = 200


@dataclass(frozen=True)
class Case:
    """A case that is measured with every contender."""

    latency_ms: int
    processes: int
    jobs: int
    warmup: int


@dataclass(frozen=True)
class Sample:
    """The figures of one trial. CPU and memory are those of all worker processes together."""

    jobs_per_second: float
    cpu_ms_per_job: float
    peak_mb: float
    redis_cpu_ms_per_job: float
    redis_commands_per_job: float


def run(contender: Contender, case: Case, servers: Servers) -> Sample:
    """Run one trial. Raises ServerTrouble if a job was lost or called twice, or a worker ended."""
    servers.empty()
    trial = Trial(contender, case, servers)
    with ExitStack() as running:
        trial.warm_up(running)
        return trial.measure()


class Trial:
    """One trial, in steps."""

    def __init__(self, contender: Contender, case: Case, servers: Servers) -> None:
        self._contender, self._case, self._servers = contender, case, servers
        self._provider = servers.providers[case.latency_ms]
        self._calls_before = self._provider.count()
        self.workers: list[WorkerTree] = []
        self._enqueued = 0
        self._site = Site(
            servers.redis.url,
            servers.broker_url,
            self._provider.url,
            IN_FLIGHT_WHERE_SLOW if case.latency_ms else contender.in_flight_at_once,
            accounts_file(servers.folder, {"bench": UNLIMITED}),
        )

    def warm_up(self, running: ExitStack) -> None:
        """Start all workers; when they are idle, give them some jobs."""
        for _ in range(self._case.processes):
            self.workers.append(launch(self._contender, self._site, self._servers.folder, running))
        self._each(WorkerTree.wait_until_at_rest)
        self._enqueue("warm", self._case.warmup * self._case.processes)
        self._wait_until_done()

    def measure(self) -> Sample:
        """Fill the queue while the workers are paused, then continue them."""
        self._each(WorkerTree.pause)
        self._enqueue("job", self._case.jobs)
        redis = self._servers.redis
        cpu, redis_cpu, commands = self._cpu(), redis.cpu_seconds(), redis.commands()
        began = time.monotonic()
        self._each(WorkerTree.resume)
        self._wait_until_done()
        seconds = time.monotonic() - began
        jobs = self._case.jobs
        return Sample(
            jobs / seconds,
            (self._cpu() - cpu) * 1000 / jobs,
            sum(worker.peak_bytes() for worker in self.workers) / 1_000_000,
            (redis.cpu_seconds() - redis_cpu) * 1000 / jobs,
            (redis.commands() - commands) / jobs,
        )

    def _enqueue(self, prefix: str, count: int) -> None:
        self._contender.enqueue(self._site, f"{prefix}-{self._enqueued}-", count)
        self._enqueued += count

    def _wait_until_done(self) -> None:
        self._wait_for_all(self._calls)
        self._wait_for_all(self._finished)
        if (self._calls(), self._finished()) != (self._enqueued, self._enqueued):
            raise ServerTrouble(self._standing("something was done twice"))

    def _wait_for_all(self, count: Callable[[], int]) -> None:
        wait_for_count(
            count,
            self._enqueued,
            trouble=lambda: self._standing("it stands still") + self.workers[0].tail(),
            check=lambda: self._each(WorkerTree.check),
        )

    def _standing(self, trouble: str) -> str:
        counts = f"{self._enqueued} jobs, {self._calls()} calls, {self._finished()} outcomes"
        return f"{self._contender.name}: {trouble}: {counts}\n"

    def _each(self, act: Callable[[WorkerTree], None]) -> None:
        for worker in self.workers:
            act(worker)

    def _calls(self) -> int:
        return self._provider.count() - self._calls_before

    def _finished(self) -> int:
        return self._contender.finished(self._site, self._servers.redis.client)

    def _cpu(self) -> float:
        return sum(worker.cpu_seconds() for worker in self.workers)
