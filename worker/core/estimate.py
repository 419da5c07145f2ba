"""Lists what an installation needs for a load, each figure with what it follows from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from worker.core import costs, sizing
from worker.core.sizing import CORE_MS, DAY_SECONDS, MILLION, Demand, Workers

Unit = Literal["", "bytes", "cores", "per_second"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One result: the part that needs it, a name for machines, how much, and what it follows from."""

    part: str
    name: str
    what: str
    value: float
    unit: Unit
    because: str


def period_seconds(demand: Demand) -> float:
    """Return the time in which growing files are counted: a day, or as long as the load has lasted."""
    return min(demand.after_seconds, DAY_SECONDS)


def figures(demand: Demand) -> list[Figure]:
    """Return all figures, part by part."""
    there = sizing.workers(demand)
    return [
        *_workers(demand, there),
        *_redis_memory(demand, there.processes),
        *_redis(demand, there.processes),
        *(_rabbitmq(demand, there.processes) if demand.rabbitmq else ()),
        *_told(demand, there.processes),
    ]


def _workers(demand: Demand, there: Workers) -> Iterator[Figure]:
    cpu, part = demand.worker_cpu, "workers"
    needed = sizing.places(demand)
    share = demand.per_second / there.processes, demand.peak_per_second / there.processes
    cores = [there.processes * cpu.ms_per_second(each) / CORE_MS for each in share]
    yield Figure(part, "worker_processes", "processes", there.processes, "",
        f"{needed:,} places for calls; {cpu.ms_per_second(share[1]) / CORE_MS:.0%} of a core each at the peak; one may fail")  # fmt: skip
    yield Figure(part, "concurrency", "CONCURRENCY of each", there.concurrency, "",
        f"{sizing.calls_in_flight(demand):,.0f} calls in flight in the mean of the peak, and room for its variation")  # fmt: skip
    yield Figure(part, "worker_cpu_cores", "CPU of all", cores[0], "cores",
        f"{cpu.idle_ms:.0f} ms/s when idle; {cpu.job_ms + cpu.alone_ms:.1f} ms a job alone, {cpu.job_ms:.2f} in a batch")  # fmt: skip
    yield Figure(
        part, "worker_cpu_cores_peak", "CPU of all at the peak", cores[1], "cores", "the same at the peak"
    )
    yield Figure(part, "worker_memory_bytes", "memory of each", sizing.worker_bytes(demand, there.concurrency), "bytes",
        f"{costs.CALL_BYTES // 1000} kB for each call in flight, {costs.WORKER_ACCOUNT_BYTES / 1000:.1f} kB for each account")  # fmt: skip
    yield Figure(part, "worker_open_files", "open files of each", sizing.open_files(demand, there.concurrency), "",
        f"CONCURRENCY, {costs.OTHER_FILES} others" + (", WEBHOOKS_IN_FLIGHT" if demand.webhooks else ""))  # fmt: skip


def _redis_memory(demand: Demand, processes: int) -> Iterator[Figure]:
    why = {
        "ended": ("ended jobs", "how long they are kept: LEDGER_RETENTION" + (", WEBHOOK_REPLAY" if demand.webhooks else "")),
        "waiting": ("jobs that wait", f"{demand.backlog:,} jobs × {costs.WAITING_BYTES} bytes"),
        "dialled": ("jobs that are dialled", f"{costs.DIALLED_BYTES} bytes each"),
        "accounts": ("accounts", f"{costs.ACCOUNT_BYTES} bytes each"),
        "unpublished": ("events while the broker is away", "RESULTS_BACKLOG; nothing is dialled beyond"),
        "itself": ("Redis itself", "and the connections of each worker"),
        "messages": ("jobs and events on their way", f"a second of the peak × {demand.costs.message_bytes} bytes"),
    }  # fmt: skip
    for name, value in sizing.memory_parts(demand, processes).items():
        what, because = why[name]
        yield Figure("Redis", f"redis_{name}_bytes", what, value, "bytes", because)


def _redis(demand: Demand, processes: int) -> Iterator[Figure]:
    part, used = "Redis", sizing.used_bytes(demand, processes)
    most = sizing.max_memory_bytes(demand, processes)
    cores = [
        sizing.redis_ms_per_second(demand, processes, rate) / CORE_MS
        for rate in (demand.per_second, demand.peak_per_second)
    ]
    yield Figure(part, "redis_memory_bytes", "memory", used, "bytes", "all of these together")
    yield Figure(part, "redis_maxmemory_bytes", "maxmemory", most, "bytes",
        f"{used / most:.0%} of it used; an alert warns from {costs.MOST_OF_MEMORY:.0%} on")  # fmt: skip
    yield Figure(part, "redis_machine_bytes", "memory of its machine", 2 * most, "bytes",
        "changed pages exist twice while Redis rewrites its file")  # fmt: skip
    yield Figure(part, "redis_cpu_cores", "CPU", cores[0], "cores", "one core is the most that Redis uses")
    yield Figure(part, "redis_cpu_cores_peak", "CPU at the peak", cores[1], "cores", "the same at the peak")
    yield Figure(part, "redis_file_bytes", "append-only file, written",
        sizing.file_bytes_per_second(demand, processes) * period_seconds(demand), "bytes",
        f"{demand.costs.file_bytes:,} bytes a job; Redis rewrites the file when it has doubled")  # fmt: skip
    yield Figure(part, "redis_disk_bytes", "disk", sizing.disk_bytes(demand, processes), "bytes",
        "the doubled file and the new one, while Redis rewrites it")  # fmt: skip
    if not demand.rabbitmq:
        yield from _queued("Redis", "memory", demand)


def _rabbitmq(demand: Demand, processes: int) -> Iterator[Figure]:
    part, cpu = "RabbitMQ", demand.costs.rabbitmq
    yield Figure(part, "rabbitmq_messages_per_second", "messages at the peak", 2 * demand.peak_per_second, "per_second",
        "a job in, an event out; each is confirmed")  # fmt: skip
    if cpu is not None:
        cores = cpu.ms_per_second(demand.per_second) / CORE_MS
        yield Figure(part, "rabbitmq_cpu_cores", "CPU", cores, "cores", "with one reader of the events")
    yield from _queued(part, "disk", demand)


def _queued(part: str, where: str, demand: Demand) -> Iterator[Figure]:
    kinds = {"jobs": ("jobs that no worker takes", demand.costs.message_bytes),
             "events": ("events that nobody reads", demand.costs.event_bytes)}  # fmt: skip
    for name, (what, size) in kinds.items():
        yield Figure(part, f"broker_million_{name}_bytes", f"a million {what}: {where}", MILLION * size, "bytes",
            "only if they stop; not counted above")  # fmt: skip


def _told(demand: Demand, processes: int) -> Iterator[Figure]:
    yield Figure("log", "log_bytes", "of all workers", sizing.log_bytes_per_second(demand) * period_seconds(demand),
        "bytes", f"{costs.LINE_BYTES} bytes a job at level INFO, before compression")  # fmt: skip
    yield Figure("Prometheus", "series", "time series", sizing.series(demand, processes), "",
        f"{costs.WORKER_SERIES} a worker, {costs.ACCOUNT_SERIES} an account of at most METRICS_ACCOUNTS")  # fmt: skip
