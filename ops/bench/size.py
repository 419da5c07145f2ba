"""Holds `callworker size` against real loads: each figure of a job and of a worker, beside the measured one."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ops.bench import queued, steady
from ops.bench.steady import OTHER_KINDS, WARM_UP_JOBS, Load, Measured
from ops.bench.table import aligned
from worker.core import sizing
from worker.core.sizing import Demand, Workers

HEAD = ("load", "figure", "callworker size", "measured", "ratio")
QUEUED_JOBS = 20_000
OTHERS_PER_SECOND = 50.0
"""The rate at which webhooks, further attempts and waits are measured."""


@dataclass(frozen=True)
class Row:
    """One figure of one load."""

    load: str
    what: str
    predicted: float
    measured: float


def measure(brokers: Sequence[str], rates: Sequence[float], seconds: float) -> tuple[str, dict[str, Any]]:
    """Run each load for so long, and return the table. The rows of all loads are in the report too."""
    rows: list[Row] = []
    for some in _measured(brokers, rates, seconds):
        print(*(" | ".join(cells(row)) for row in some), sep="\n", file=sys.stderr)
        rows += some
    return aligned([HEAD, *map(cells, rows)]), {"size": [asdict(row) for row in rows]}


def _measured(brokers: Sequence[str], rates: Sequence[float], seconds: float) -> Iterator[list[Row]]:
    for broker in brokers:
        yield list(_queued(broker))
    for load in _loads(brokers, rates, seconds):
        yield list(compared(steady.measure(load)))


def cells(row: Row) -> tuple[str, ...]:
    """Return the row as the table shows it."""
    ratio = f"{row.measured / row.predicted:.2f}" if row.predicted else ""
    return row.load, row.what, _figure(row.predicted), _figure(row.measured), ratio


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _loads(brokers: Sequence[str], rates: Sequence[float], seconds: float) -> Iterator[Load]:
    for broker in brokers:
        for rate in rates:
            yield Load(broker, rate, seconds)
        for kind in OTHER_KINDS:
            yield Load(broker, OTHERS_PER_SECOND, seconds, kind)


def demand(load: Load, per_second: float) -> Demand:
    """Return the load as `callworker size` takes it, with one worker and nothing that waits."""
    return Demand(
        per_second=per_second,
        peak_per_second=per_second,
        accounts=load.accounts,
        backlog=0,
        retention_seconds=7 * sizing.DAY_SECONDS,
        replay_seconds=2 * sizing.DAY_SECONDS,
        webhooks=float(load.kind == "webhook"),
        provider_seconds=load.latency_ms / 1000,
        attempts=2.0 if load.kind == "retries" else 1.0,
        limited=float(load.kind == "limited"),
        rabbitmq=load.broker == "amqp",
        results_backlog=0,
        webhooks_in_flight=2048,
        metrics_accounts=200,
        after_seconds=(load.jobs + WARM_UP_JOBS) / per_second,
        workers=1,
    )


def compared(found: Measured) -> Iterator[Row]:
    """Yield each figure of a load beside what was measured."""
    load, busy, idle = found.load, found.busy, found.idle
    jobs, per_second = load.jobs, load.jobs / busy.at_seconds
    asked = demand(load, per_second)
    name = f"{load.broker} {load.per_second:g}/s {load.kind}"
    costs, still = asked.costs, sizing.file_bytes_per_second(demand(load, 1e-9), 1)
    cpus = {
        "worker": (asked.job.worker, "worker_cpu_seconds"),
        "Redis": (asked.job.redis, "redis_cpu_seconds"),
    }
    if costs.rabbitmq is not None:
        cpus["RabbitMQ"] = costs.rabbitmq, "rabbit_cpu_seconds"
    for part, (cpu, field) in cpus.items():
        yield Row(
            name, f"{part}: CPU ms/s when idle", cpu.idle_ms, getattr(idle, field) * 1000 / idle.at_seconds
        )
        yield Row(
            name,
            f"{part}: CPU ms a job",
            cpu.ms_per_second(per_second) / per_second,
            getattr(busy, field) * 1000 / jobs,
        )
    yield Row(name, "Redis: file bytes/s when idle", still, idle.file_bytes / idle.at_seconds)
    yield Row(
        name,
        "Redis: file bytes a job",
        sizing.file_bytes_per_second(asked, 1) / per_second,
        busy.file_bytes / jobs,
    )
    yield Row(name, "Redis: memory, MB", sizing.used_bytes(asked, 1) / 1e6, found.redis_bytes / 1e6)
    yield Row(
        name,
        "worker: memory, MB",
        sizing.worker_bytes(asked, Workers(1, 0)) / 1e6,
        found.worker_peak_bytes / 1e6,
    )
    yield Row(name, "log bytes a job", asked.job.line_bytes, busy.log_bytes / jobs)
    yield Row(name, "time series", sizing.series(asked, 1), found.series)


def _queued(broker: str) -> Iterator[Row]:
    costs, found = demand(Load(broker, 1.0, 1.0), 1.0).costs, queued.measure(broker, QUEUED_JOBS)
    where = "disk" if broker == "amqp" else "memory"
    yield Row(broker, f"a queued job: bytes of {where}", costs.message_bytes, found["job_bytes"])
    yield Row(broker, f"an unread event: bytes of {where}", costs.event_bytes, found["event_bytes"])
