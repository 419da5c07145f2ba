"""Lists what an installation needs for a load, each figure with what it follows from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from worker.core import costs, sizing
from worker.core.sizing import CORE_MS, DAY_SECONDS, MILLION, Demand, Workers

OUTAGE = "in an outage; not counted above"

Unit = Literal["", "bytes", "cores", "per_second"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One result: a name for machines, what it is in words, how much, and what it follows from."""

    name: str
    what: str
    value: float
    unit: Unit
    because: str = ""


def period_seconds(demand: Demand) -> float:
    """Return the time in which growing files are counted: a day, or as long as the load has lasted."""
    return min(demand.after_seconds, DAY_SECONDS)


def figures(demand: Demand) -> list[Figure]:
    """Return all figures. The first word of a name is the part that needs it."""
    there = sizing.workers(demand)
    return [
        *_workers(demand, there),
        *_redis_memory(demand, there.processes),
        *_redis(demand, there.processes),
        *_rabbitmq(demand),
        *_queued(demand),
        *_told(demand, there.processes),
    ]


def _workers(demand: Demand, there: Workers) -> Iterator[Figure]:
    cpu, processes, each = demand.job.worker, there.processes, there.concurrency
    mean, peak = (cpu.ms_per_second(rate / processes) for rate in (demand.per_second, demand.peak_per_second))
    busy = f"{peak / CORE_MS:.0%} of a core each at the peak, and one may fail"
    calls = f"{sizing.calls_in_flight(demand):,.0f} calls in flight at the peak, now and then {sizing.places(demand):,}"
    job = (
        f"{cpu.job_ms + cpu.alone_ms:.1f} ms for a job that comes alone, {cpu.job_ms:.2f} ms in a full batch"
    )
    memory = (
        f"{costs.WORKER_ACCOUNT_BYTES / 1e3:.1f} kB an account, {costs.CALL_BYTES // 1000} kB a call in flight, "
        f"{costs.JOURNAL_JOB_BYTES / 1e3:.1f} kB a job of the last two minutes"
    )
    files = f"CONCURRENCY and {costs.OTHER_FILES} more" + (", and WEBHOOKS_IN_FLIGHT" * bool(demand.webhooks))
    yield Figure("worker_processes", "processes", processes, "", busy)
    yield Figure("worker_concurrency", "CONCURRENCY of each", each, "", calls)
    yield Figure("worker_cpu_cores", "CPU of all", processes * mean / CORE_MS, "cores", job)
    yield Figure("worker_cpu_cores_peak", "CPU of all at the peak", processes * peak / CORE_MS, "cores")
    yield Figure("worker_memory_bytes", "memory of each", sizing.worker_bytes(demand, there), "bytes", memory)
    yield Figure("worker_open_files", "open files of each", sizing.open_files(demand, each), "", files)


def _redis_memory(demand: Demand, processes: int) -> Iterator[Figure]:
    kept = "kept for LEDGER_RETENTION" + (", with their events for WEBHOOK_REPLAY" * bool(demand.webhooks))
    words = {
        "ended": ("ended jobs", kept),
        "waiting": ("jobs that wait", f"{demand.backlog:,} of {sizing.waiting_bytes(demand):,.0f} bytes"),
        "dialled": ("jobs that are dialled", f"{costs.DIALLED_BYTES} bytes each"),
        "accounts": ("accounts", f"{costs.ACCOUNT_BYTES} bytes each"),
        "unpublished": ("events while the broker is away", "RESULTS_BACKLOG; beyond it nothing is dialled"),
        "itself": ("Redis itself", "with the connections of each worker"),
        "broker": (
            "the broker in it",
            f"with a second of the peak on its way, {demand.costs.message_bytes} bytes a job",
        ),
    }
    for name, value in sizing.memory_parts(demand, processes).items():
        what, because = words[name]
        yield Figure(f"redis_{name}_bytes", f"memory: {what}", value, "bytes", because)


def _redis(demand: Demand, processes: int) -> Iterator[Figure]:
    used, most = sizing.used_bytes(demand, processes), sizing.max_memory_bytes(demand, processes)
    mean, peak = (
        sizing.redis_ms_per_second(demand, processes, rate) / CORE_MS
        for rate in (demand.per_second, demand.peak_per_second)
    )
    written = sizing.file_bytes_per_second(demand, processes) * period_seconds(demand)
    share = f"{used / most:.0%} of it is used; an alert warns from {costs.MOST_OF_MEMORY:.0%} on"
    twice = "changed pages exist twice while Redis rewrites its file"
    job = f"{demand.job.file_bytes:,.0f} bytes a job; Redis rewrites the file when it has doubled"
    yield Figure("redis_memory_bytes", "memory", used, "bytes", "all of these together")
    yield Figure("redis_maxmemory_bytes", "maxmemory", most, "bytes", share)
    yield Figure("redis_machine_bytes", "memory of its machine", 2 * most, "bytes", twice)
    yield Figure("redis_cpu_cores", "CPU", mean, "cores", "Redis uses one core at most")
    yield Figure("redis_cpu_cores_peak", "CPU at the peak", peak, "cores")
    yield Figure("redis_file_bytes", "append-only file, written", written, "bytes", job)
    disk = sizing.disk_bytes(demand, processes)
    yield Figure(
        "redis_disk_bytes", "disk", disk, "bytes", "for the file and the new one, while it is rewritten"
    )


def _rabbitmq(demand: Demand) -> Iterator[Figure]:
    cpu = demand.costs.rabbitmq
    if cpu is None:
        return
    mean, peak = demand.per_second, demand.peak_per_second
    yield Figure("rabbitmq_messages_per_second", "messages", 2 * mean, "per_second", "a job in, an event out")
    yield Figure(
        "rabbitmq_cpu_cores", "CPU", cpu.ms_per_second(mean) / CORE_MS, "cores", "with one reader of events"
    )
    yield Figure("rabbitmq_cpu_cores_peak", "CPU at the peak", cpu.ms_per_second(peak) / CORE_MS, "cores")


def _queued(demand: Demand) -> Iterator[Figure]:
    needs, (part, where) = demand.costs, ("rabbitmq", "disk") if demand.rabbitmq else ("redis", "memory")
    kinds = {"jobs": ("jobs that no worker takes", needs.message_bytes),
             "events": ("events that nobody reads", needs.event_bytes)}  # fmt: skip
    for name, (what, size) in kinds.items():
        words = f"{where} of a million {what}"
        yield Figure(f"{part}_million_{name}_bytes", words, MILLION * size, "bytes", OUTAGE)
    if demand.webhooks:
        day = min(demand.webhooks, 1) * demand.per_second * DAY_SECONDS * costs.UNDELIVERED_BYTES
        yield Figure(
            "redis_webhook_day_bytes",
            "memory of a day's events that webhooks do not take",
            day,
            "bytes",
            OUTAGE,
        )


def _told(demand: Demand, processes: int) -> Iterator[Figure]:
    period, job = period_seconds(demand), demand.job.line_bytes
    level = f"{job:,.0f} bytes a job at level INFO, before compression"
    each = (
        f"{costs.WORKER_SERIES} a worker, {costs.ACCOUNT_SERIES} an account and {costs.ENDPOINT_SERIES} a webhook, "
        f"at most {demand.metrics_accounts} of them (METRICS_ACCOUNTS)"
    )
    yield Figure("log_bytes", "of all workers", demand.per_second * job * period, "bytes", level)
    yield Figure("prometheus_series", "time series", sizing.series(demand, processes), "", each)
