"""What jobs, accounts and workers cost: the measured figures from which `worker.core.sizing` computes.

Bytes are nearly the same on every machine. CPU times are those of one machine, see docs/performance.md: expect half or
twice as much on another one. Each figure names the command that prints it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

# Bytes of Redis: `make bench BENCH=memory`. docs/explanation/capacity.md has the same ones, and a test compares them.
WAITING_BYTES = 745
WAITING_AGAIN_BYTES = 1710
DIALLED_BYTES = 660
UNPUBLISHED_BYTES = 1560
ENDED_BYTES = 1170
REMEMBERED_BYTES = 275
UNDELIVERED_BYTES = 1810
DELIVERED_BYTES = 1555
DELIVERED_TWICE_BYTES = 1805
ACCOUNT_BYTES = 172
REWRITTEN_SHARE = 0.45
"""The size of Redis' append-only file right after a rewrite, as a share of the memory that Redis uses."""

ENDED_SECONDS = 3600
"""How long an ended job keeps its details. `state/scripts/common.lua` removes them then."""

MOST_OF_MEMORY = 0.8
"""The share of `maxmemory` from which memory is short, as in the alert CallworkerRedisMemory."""

# What follows is printed by `make bench BENCH=size`.
REDIS_START_BYTES, REDIS_WORKER_BYTES, REDIS_BROKER_BYTES = 1_500_000, 500_000, 500_000
"""What Redis needs for itself, for the connections of one worker, and to be the broker."""

FIRST_REWRITE_BYTES = 64 * 1024 * 1024
"""Redis does not rewrite a smaller file (`auto-aof-rewrite-min-size`)."""

WORKER_BYTES, WORKER_ACCOUNT_BYTES = 97_000_000, 2_200
"""The memory of a worker, and of each account in its accounts file (`make bench BENCH=scrape`)."""

CALL_BYTES = 30_000
"""The memory of a worker for each call in flight (`make bench BENCH=stalls`)."""

JOURNAL_SECONDS, JOURNAL_JOBS = 120, 10_000
"""How long a worker remembers the last news of a job, in case Redis forgets it, and of how many jobs at most."""

JOURNAL_JOB_BYTES = 2_300
"""The memory of a worker for each of these (`make bench BENCH=memory`)."""

OTHER_FILES = 300
"""Open files of a worker beside its calls: connections that webhooks keep, those to Redis and the broker, logs,
libraries."""

WORKER_SERIES, ACCOUNT_SERIES, ENDPOINT_SERIES = 243, 19, 20
"""Time series of a worker, and of each account and webhook in use that has metrics of its own."""

IDLE_FILE_BYTES = 600
"""Bytes that one worker writes to Redis' append-only file each second without any job: its reports and checks."""

BATCHES_FROM = 45.0
"""Jobs a second and worker from which several jobs share the work that each of them does alone below that."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """The CPU time of one process, in ms each second: while it is idle, for each job, and for one that comes alone.

    A job that comes alone costs `alone_ms` on top, mostly for threads that wake and for questions to Redis whether its
    file has what was written. From `BATCHES_FROM` jobs a second on these are shared.
    """

    idle_ms: float
    job_ms: float
    alone_ms: float

    def ms_per_second(self, jobs_per_second: float) -> float:
        """Return the CPU time that so many jobs a second take, in ms each second."""
        return (
            self.idle_ms + self.job_ms * jobs_per_second + self.alone_ms * min(jobs_per_second, BATCHES_FROM)
        )

    def jobs_per_second(self, ms_per_second: float) -> float:
        """Return how many jobs a second take that much CPU time; 0 if even none do."""
        alone = (ms_per_second - self.idle_ms) / (self.job_ms + self.alone_ms)
        together = (ms_per_second - self.idle_ms - self.alone_ms * BATCHES_FROM) / self.job_ms
        return max(alone if alone < BATCHES_FROM else together, 0.0)

    def plus(self, more: Cpu, times: float) -> Cpu:
        """Return the same with `times` something more for each job."""
        return replace(
            self, job_ms=self.job_ms + more.job_ms * times, alone_ms=self.alone_ms + more.alone_ms * times
        )


@dataclass(frozen=True, slots=True)
class Step:
    """What a job costs, or a part of its way that not every job takes.

    - `worker`, `redis`: CPU time; that of Redis is for each worker
    - `file_bytes`: what is written to Redis' append-only file
    - `line_bytes`: lines of the log at level INFO
    """

    worker: Cpu
    redis: Cpu
    file_bytes: float
    line_bytes: float

    def plus(self, more: Step, times: float) -> Step:
        """Return the cost of this and of `times` something more."""
        return Step(
            self.worker.plus(more.worker, times),
            self.redis.plus(more.redis, times),
            self.file_bytes + more.file_bytes * times,
            self.line_bytes + more.line_bytes * times,
        )


@dataclass(frozen=True, slots=True)
class BrokerCosts:
    """What depends on the broker: a job that is sent at once and placed, RabbitMQ's own CPU time, and the bytes of one
    job and of one event in the broker: of its memory (Redis) or of its disk (RabbitMQ)."""

    job: Step
    rabbitmq: Cpu | None
    message_bytes: int
    event_bytes: int


ON_REDIS = BrokerCosts(
    job=Step(Cpu(10.5, 0.6, 3.7), Cpu(3.0, 0.2, 1.55), 5_450, 275),
    rabbitmq=None,
    message_bytes=795,
    event_bytes=825,
)
ON_RABBITMQ = BrokerCosts(
    job=Step(Cpu(7.0, 0.9, 2.2), Cpu(2.5, 0.2, 0.7), 2_700, 275),
    rabbitmq=Cpu(4.0, 0.5, 1.2),
    message_bytes=740,
    event_bytes=740,
)

DELIVERY = Step(Cpu(0.0, 0.32, 1.0), Cpu(0.0, 0.10, 0.5), 2_600, 360)
"""An event that a webhook takes. `make bench BENCH=webhooks` prints the CPU time of deliveries in batches."""

RETRY = Step(Cpu(0.0, 0.5, 0.4), Cpu(0.0, 0.1, 0.1), 2_500, 317)
"""An attempt after the first one."""

LIMITED = Step(Cpu(0.0, 0.1, 0.0), Cpu(0.0, 0.06, 0.1), 700, 0)
"""A wait in its lane for the limit of the account."""
