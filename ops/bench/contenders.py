"""The contenders: callworker and its peers, each with the commands that start its worker and enqueue its jobs."""

from __future__ import annotations

import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import redis
from kombu import Connection

from ops.bench.environments import PEERS, python_of
from tests.faults.servers import PROJECT
from tests.processes import free_port
from worker.producer import enqueue_many

Kind = Literal["bare", "full"]
KEY_VARIABLE = "BENCH_KEY"
BARE_CELERY = "celery bare"
_ENQUEUE_SECONDS = 300


@dataclass(frozen=True)
class Site:
    """The servers and the accounts file of a trial, and the number of calls in flight."""

    redis_url: str
    broker_url: str
    provider_url: str
    in_flight: int
    accounts_file: Path

    @property
    def is_amqp(self) -> bool:
        return self.broker_url.startswith("amqp")


class Contender(ABC):
    """One line of the table. `in_flight_at_once` is the number of concurrent calls when the provider is fast."""

    name: str
    kind: Kind
    in_flight_at_once: int
    environment: str | None
    amqp: bool

    @abstractmethod
    def command(self, site: Site) -> tuple[Sequence[str], Mapping[str, str], Path]:
        """Return command, environment and folder of one worker process."""

    @abstractmethod
    def enqueue(self, site: Site, prefix: str, count: int) -> None:
        """Put `count` jobs with ids that begin with `prefix` into the queue."""

    @abstractmethod
    def finished(self, site: Site, client: redis.Redis) -> int:
        """Return the number of jobs with a published outcome."""


@dataclass(frozen=True)
class Peer(Contender):
    """Another queue, in an environment of its own. `worker` is its command, with {n} for the calls in flight."""

    name: str
    environment: str
    kind: Kind
    worker: str
    in_flight_at_once: int
    amqp: bool = False

    def command(self, site: Site) -> tuple[Sequence[str], Mapping[str, str], Path]:
        words = self.worker.format(n=site.in_flight).split()
        program = str(python_of(self.environment).with_name(words[0]))
        return [program, *words[1:]], self._environ(site), PEERS

    def enqueue(self, site: Site, prefix: str, count: int) -> None:
        script = f"{self.environment}_jobs.py"
        subprocess.run(
            [python_of(self.environment), script, self.kind, prefix, str(count)],
            env=self._environ(site),
            cwd=PEERS,
            check=True,
            timeout=_ENQUEUE_SECONDS,
        )

    def finished(self, site: Site, client: redis.Redis) -> int:  # noqa: ARG002 (all peers write to Redis)
        if self.kind == "full":
            return int(client.llen("results"))
        return sum(1 for _ in client.scan_iter("bench:*", 10_000))

    def _environ(self, site: Site) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(PEERS),
            "BENCH_REDIS_URL": site.redis_url,
            "BENCH_BROKER_URL": site.broker_url,
            "BENCH_PROVIDER_URL": site.provider_url,
            "BENCH_IN_FLIGHT": str(site.in_flight),
        }


class CallWorker(Contender):
    """This project. It always does the full job, because it cannot leave out what a bare job leaves out."""

    name = "callworker"
    kind: Kind = "full"
    in_flight_at_once = 50
    environment = None
    amqp = True

    def command(self, site: Site) -> tuple[Sequence[str], Mapping[str, str], Path]:
        command = [sys.executable, "-m", "celery", "-A", "worker.app", "worker"]
        return command, worker_environ(site), PROJECT

    def enqueue(self, site: Site, prefix: str, count: int) -> None:
        jobs = [new_job(f"{prefix}{n}", "bench") for n in range(count)]
        enqueue_many(jobs, broker_url=site.broker_url)

    def finished(self, site: Site, client: redis.Redis) -> int:
        if not site.is_amqp:
            return int(client.llen("results"))
        with Connection(site.broker_url) as connection, connection.channel() as channel:
            return int(channel.queue_declare("results", passive=True).message_count)


def worker_environ(site: Site) -> dict[str, str]:
    """Return the environment of a callworker process, with a port of its own for its metrics."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        KEY_VARIABLE: "0123456789abcdef0123456789abcdef",
        "REDIS_URL": site.redis_url,
        "BROKER_URL": site.broker_url,
        **({"AMQP_QUEUE_TYPE": "quorum"} if site.is_amqp else {}),
        "PROXSTOP_URL": site.provider_url,
        "PROXSTOP_FORMAT": "json",
        "ACCOUNTS_FILE": str(site.accounts_file),
        "CONCURRENCY": str(site.in_flight),
        "LOG_LEVEL": "WARNING",
        "METRICS_PORT": str(free_port()),
    }


def new_job(job_id: str, account: str, phone: str = "2125559999") -> dict[str, str]:
    return {"id": job_id, "account": account, "country": "1", "phone": phone, "code": "4711"}


_CELERY = "celery -A celery_jobs worker -P threads -c {n} -l WARNING --without-gossip --without-mingle"
_TASKIQ = "taskiq worker taskiq_jobs:broker --workers 1 --max-async-tasks {n} --log-level WARNING --no-parse"
THREADS, TASKS = 20, 100

CONTENDERS: tuple[Contender, ...] = (
    Peer(BARE_CELERY, "celery", "bare", _CELERY, THREADS, amqp=True),
    Peer("dramatiq bare", "dramatiq", "bare", "dramatiq dramatiq_jobs -p 1 -t {n}", THREADS),
    Peer("arq bare", "arq", "bare", "python arq_jobs.py worker", TASKS),
    Peer("saq bare", "saq", "bare", "saq saq_jobs.settings --quiet", TASKS),
    Peer("taskiq bare", "taskiq", "bare", _TASKIQ, TASKS),
    Peer("celery full", "celery", "full", _CELERY, THREADS, amqp=True),
    Peer("taskiq full", "taskiq", "full", _TASKIQ, TASKS),
    CallWorker(),
)
