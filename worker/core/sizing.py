"""Computes what an installation needs for a load: workers, Redis, RabbitMQ, log, metrics.

Pure functions of a `Demand`; `worker.core.costs` has the measured figures. `worker.core.estimate` puts the results into
words, and `worker.core.ceilings` says which limit such an installation meets first. `callworker size` prints both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from worker.core import costs
from worker.core.costs import BrokerCosts, Step

DAY_SECONDS = 86_400
MILLION = 1_000_000

CORE_MS = 1000.0
MOST_OF_CORE = 0.6
"""How busy a worker may be at the peak: above that, jobs wait for its threads."""

CALLS_DEVIATIONS = 4.0
"""How many standard deviations of calls in flight there is room for. Calls that begin independently vary as Poisson's
law says: by the square root of their mean."""

PLACES_STEP, MIN_PLACES, MAX_PLACES = 50, 50, 1000
SPARE_WORKERS, MIN_WORKERS = 1, 2
"""One worker may fail or be restarted, and the others still bear the peak."""

MEMORY_STEP = 256 * 1024 * 1024

FILE_TIMES_REWRITTEN = 3
"""Redis rewrites its file when that has doubled, and keeps the old one until the new one is complete."""


@dataclass(frozen=True, slots=True)
class Demand:
    """The load that an installation must bear, and what is fixed of it.

    - `per_second`, `peak_per_second`: jobs, in the mean of a day and in the busiest minute
    - `provider_seconds`: how long a call takes in the mean; `attempts`: how many a job has in the mean
    - `limited`: the share of jobs that wait for their account's limit, 0 to 1
    - `webhooks`: how many webhooks get each event, in the mean
    - `backlog`: the most jobs that may wait at once
    - `after_seconds`: how long the load has lasted, beginning with an empty Redis; infinite for the lasting state
    - `workers`, `concurrency`, `max_memory_bytes`: what there is; None: what is recommended
    """

    per_second: float
    peak_per_second: float
    accounts: int
    backlog: int
    retention_seconds: float
    replay_seconds: float
    webhooks: float
    provider_seconds: float
    attempts: float
    limited: float
    rabbitmq: bool
    results_backlog: int
    webhooks_in_flight: int
    metrics_accounts: int
    after_seconds: float = math.inf
    workers: int | None = None
    concurrency: int | None = None
    max_memory_bytes: int | None = None

    @property
    def costs(self) -> BrokerCosts:
        """The costs with this demand's broker."""
        return costs.ON_RABBITMQ if self.rabbitmq else costs.ON_REDIS

    @property
    def job(self) -> Step:
        """What a job costs in the mean."""
        delivered = self.costs.job.plus(costs.DELIVERY, self.webhooks)
        return delivered.plus(costs.RETRY, self.attempts - 1).plus(costs.LIMITED, self.limited)


@dataclass(frozen=True, slots=True)
class Workers:
    """How many worker processes there are, and how many calls each may have in flight."""

    processes: int
    concurrency: int


def calls_in_flight(demand: Demand) -> float:
    """Return how many calls are in flight at the peak, in the mean (Little's law)."""
    return demand.peak_per_second * demand.attempts * demand.provider_seconds


def places(demand: Demand) -> int:
    """Return how many places for calls the peak needs, with room for its variation."""
    mean = calls_in_flight(demand)
    return math.ceil(mean + CALLS_DEVIATIONS * math.sqrt(mean))


def workers(demand: Demand) -> Workers:
    """Return the workers that the demand names, completed by those that it needs."""
    needed = places(demand)
    each = demand.concurrency or MAX_PLACES
    by_cpu = math.ceil(demand.peak_per_second / demand.job.worker.jobs_per_second(MOST_OF_CORE * CORE_MS))
    enough = max(by_cpu, math.ceil(needed / each), 1) + SPARE_WORKERS
    processes = demand.workers or max(enough, MIN_WORKERS)
    share = needed / max(processes - SPARE_WORKERS, 1)
    rounded = max(math.ceil(share / PLACES_STEP) * PLACES_STEP, MIN_PLACES)
    return Workers(processes, demand.concurrency or min(rounded, 10 * MAX_PLACES))


def memory_parts(demand: Demand, processes: int) -> dict[str, float]:
    """Return the bytes that each kind of content takes of Redis, after the demand's time and with its whole backlog."""
    return {
        "ended": demand.per_second * _ended_byte_seconds(demand),
        "waiting": demand.backlog * waiting_bytes(demand),
        "dialled": calls_in_flight(demand) * costs.DIALLED_BYTES,
        "accounts": float(demand.accounts * costs.ACCOUNT_BYTES),
        "unpublished": float(demand.results_backlog * (costs.UNPUBLISHED_BYTES - costs.ENDED_BYTES)),
        "itself": float(costs.REDIS_START_BYTES + processes * costs.REDIS_WORKER_BYTES),
    } | ({} if demand.rabbitmq else {"broker": _broker_bytes(demand)})


def _broker_bytes(demand: Demand) -> float:
    """Return the bytes of Redis as the broker, with the jobs of a second of the peak on their way."""
    return costs.REDIS_BROKER_BYTES + demand.peak_per_second * demand.costs.message_bytes


def waiting_bytes(demand: Demand) -> float:
    """Return the bytes of a job that waits, in the mean of those that were not tried yet and those that were."""
    tried = 1 - 1 / demand.attempts
    return (1 - tried) * costs.WAITING_BYTES + tried * costs.WAITING_AGAIN_BYTES


def _ended_byte_seconds(demand: Demand) -> float:
    """Return the bytes of all ended jobs, at one job a second."""
    after = min(demand.after_seconds, demand.retention_seconds)
    with_details, told = float(costs.ENDED_SECONDS), float(costs.ENDED_BYTES)
    known = min(demand.webhooks, 1.0)
    plain = min(after, with_details) * told + max(after - with_details, 0) * costs.REMEMBERED_BYTES
    replay = max(demand.replay_seconds, with_details)
    further = costs.DELIVERED_TWICE_BYTES - costs.DELIVERED_BYTES
    delivered = costs.DELIVERED_BYTES + further * max(demand.webhooks - 1, 0)
    hooked = min(after, replay) * delivered + max(after - replay, 0) * costs.REMEMBERED_BYTES
    return (1 - known) * plain + known * hooked


def used_bytes(demand: Demand, processes: int) -> float:
    """Return the memory of Redis (`used_memory`) after the demand's time, with its whole backlog."""
    return sum(memory_parts(demand, processes).values())


def max_memory_bytes(demand: Demand, processes: int) -> int:
    """Return the `maxmemory` that the demand names, or the one below whose alert its memory stays."""
    least = used_bytes(demand, processes) / costs.MOST_OF_MEMORY
    return demand.max_memory_bytes or math.ceil(least / MEMORY_STEP) * MEMORY_STEP


def file_bytes_per_second(demand: Demand, processes: int) -> float:
    """Return how fast Redis' append-only file grows between rewrites."""
    return demand.per_second * demand.job.file_bytes + processes * costs.IDLE_FILE_BYTES


def disk_bytes(demand: Demand, processes: int) -> float:
    """Return the disk that Redis' append-only file needs while it is rewritten."""
    rewritten = costs.REWRITTEN_SHARE * used_bytes(demand, processes)
    return FILE_TIMES_REWRITTEN * max(rewritten, costs.FIRST_REWRITE_BYTES / 2)


def redis_ms_per_second(demand: Demand, processes: int, per_second: float) -> float:
    """Return the CPU time of Redis, in ms each second."""
    return processes * demand.job.redis.ms_per_second(per_second / processes)


def series(demand: Demand, processes: int) -> int:
    """Return how many time series Prometheus keeps of all workers."""
    told = min(demand.accounts, demand.metrics_accounts + 1)
    endpoints = min(demand.accounts * demand.webhooks, demand.metrics_accounts + 1)
    one = costs.WORKER_SERIES + told * costs.ACCOUNT_SERIES + endpoints * costs.ENDPOINT_SERIES
    return round(processes * one)


def worker_bytes(demand: Demand, there: Workers) -> float:
    """Return the memory of one worker at the peak, with all calls in flight that it may have, if another one fails."""
    remembered = costs.JOURNAL_JOB_BYTES * _remembered_jobs(demand, there.processes)
    itself = costs.WORKER_BYTES + demand.accounts * costs.WORKER_ACCOUNT_BYTES
    return itself + there.concurrency * costs.CALL_BYTES + remembered


def _remembered_jobs(demand: Demand, processes: int) -> float:
    """Return of how many jobs one worker remembers the last news, in case Redis forgets it."""
    share = demand.peak_per_second / max(processes - SPARE_WORKERS, 1)
    return min(share * min(costs.JOURNAL_SECONDS, demand.after_seconds), costs.JOURNAL_JOBS)


def open_files(demand: Demand, concurrency: int) -> int:
    """Return the limit of open files that one worker needs."""
    return concurrency + costs.OTHER_FILES + (demand.webhooks_in_flight if demand.webhooks else 0)
