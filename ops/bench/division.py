"""Measures how the CPU time of a callworker job is divided among its threads, and what the servers add."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from statistics import median
from typing import Any

from ops.bench.contenders import CallWorker
from ops.bench.servers import Servers, servers
from ops.bench.table import aligned
from ops.bench.trial import Case, Trial

ROUNDS = 5
WARMUP = 300

TASKS = {
    "dial": "the calls: HTTP, the verdict, the decision",
    "intake": "reads messages, admits them in batches",
    "releaser": "leases waiting jobs when their slots come",
    "recorder": "puts outcomes on record in batches",
    "relay": "publishes events",
    "queue": "takes and acknowledges messages of Redis",
    "main": "Celery's consumer: takes and acknowledges messages of RabbitMQ",
}
"""The work of each thread that takes a noticeable part."""

REST = "all others"


def measure(jobs: int, broker: str) -> tuple[str, dict[str, Any]]:
    """Return the medians of `ROUNDS` trials like the table's, with one worker and a provider that answers at once."""
    with servers(broker, [0]) as running:
        samples = [_trial(jobs, running) for _ in range(ROUNDS)]
    names = [*TASKS, REST]
    found = {name: median(sample[name] for sample in samples) for name in names}
    found["Redis"] = median(sample["Redis"] for sample in samples)
    return _told(found), {"division": found, "samples": samples}


def _trial(jobs: int, running: Servers) -> dict[str, float]:
    """Return the CPU ms per job of each thread and of Redis."""
    running.empty()
    trial = Trial(CallWorker(), Case(0, 1, jobs, WARMUP), running)
    with ExitStack() as exits:
        trial.warm_up(exits)
        [worker] = trial.workers
        before = worker.cpu_seconds_by_thread()
        sample = trial.measure()
        after = worker.cpu_seconds_by_thread()
    spent = {name: (seconds - before.get(name, 0.0)) * 1000 / jobs for name, seconds in after.items()}
    named = {name: spent.get(name, 0.0) for name in TASKS}
    rest = sum(ms for name, ms in spent.items() if name not in TASKS)
    return {**named, REST: rest, "Redis": sample.redis_cpu_ms_per_job}


def _told(found: Mapping[str, float]) -> str:
    total = sum(ms for name, ms in found.items() if name != "Redis")
    lines = [("thread", "what it does", "CPU ms/job", "share")]
    for name, task in [*TASKS.items(), (REST, "webhooks, the sweeper, metrics, …")]:
        lines.append((name, task, f"{found[name]:.3f}", f"{found[name] / total:.0%}"))
    lines.append(("**the worker**", "", f"{total:.3f}", "100%"))
    lines.append(("Redis", "the server's own", f"{found['Redis']:.3f}", ""))
    return aligned(lines)
