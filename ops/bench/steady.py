"""Measures what a steady load costs: CPU of worker, Redis and RabbitMQ, bytes of Redis, its file, log and metrics.

One worker with the default log level serves an even flow of jobs, sent one by one. A reader takes the events, and a
receiver answers the webhooks. Before the load, the idle worker is measured for as long as `IDLE_SECONDS`.
"""

from __future__ import annotations

import gzip
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal

from kombu import Connection

from ops.bench import hooks
from ops.bench.contenders import new_job
from ops.bench.installation import UNLIMITED, Installation, start
from ops.bench.isolation import ReceiverProcess
from ops.bench.processes import cpu_seconds_of
from ops.bench.scrape import Page
from ops.bench.servers import Servers, servers
from ops.bench.waiting import wait_for_count
from tests.faults.servers import ServerTrouble
from tests.processes import free_port
from worker.producer import Producer

IDLE_SECONDS, WARM_UP_JOBS = 15.0, 400
READ_SECONDS, MAX_READ = 0.2, 1000

USED = 0.9
"""The limit of an account whose jobs shall wait, as a share of its jobs."""

_SAMPLE = re.compile(rb"^(?!#)", re.MULTILINE)


Kind = Literal["", "webhook", "retries", "limited"]
OTHER_KINDS: tuple[Kind, ...] = ("webhook", "retries", "limited")
"""What a job may have more: an event that a webhook takes, a second attempt, a wait for the limit of its account."""


@dataclass(frozen=True)
class Load:
    """An even flow of jobs over so many accounts."""

    broker: str
    per_second: float
    seconds: float
    kind: Kind = ""
    accounts: int = 20
    latency_ms: int = 100

    @property
    def jobs(self) -> int:
        return round(self.per_second * self.seconds)


@dataclass(frozen=True)
class Standing:
    """What has been used up to a moment, and what is used at that moment."""

    at_seconds: float
    worker_cpu_seconds: float
    redis_cpu_seconds: float
    rabbit_cpu_seconds: float
    redis_bytes: int
    file_bytes: int
    log_bytes: int

    def since(self, before: Standing) -> Standing:
        """Return how much each figure has grown."""
        then, now = asdict(before), asdict(self)
        return Standing(**{name: now[name] - then[name] for name in now})


@dataclass(frozen=True)
class Measured:
    """A load, how much each figure grew while the worker was idle and under the load, and what is used at the end."""

    load: Load
    idle: Standing
    busy: Standing
    redis_bytes: int
    worker_peak_bytes: int
    series: int


def measure(load: Load) -> Measured:
    """Run the load on servers of its own. Raises ServerTrouble if a job is lost, or called twice."""
    with servers(load.broker, [load.latency_ms], on_disk=True) as running, ExitStack() as exits:
        page = Page(free_port())
        limits, port = _limits(load, running, exits), str(page.port)
        installed = start(
            running, limits, exits, at_rest=True, LOG_LEVEL="INFO", METRICS_PORT=port, **hooks.SECRETS
        )
        page.wait_until_ready(installed.worker)
        scene = _Scene(load, running, installed, exits.enter_context(_reader(running)))
        return scene.measure(page)


class _Scene:
    def __init__(
        self, load: Load, running: Servers, installed: Installation, read: Callable[[], int]
    ) -> None:
        self._load, self._running, self._installed, self._read = load, running, installed, read
        self._sent = 0

    def measure(self, page: Page) -> Measured:
        with Producer(self._installed.site.broker_url) as producer:
            self._flow(producer, WARM_UP_JOBS, max(self._load.per_second, 50.0))
            self._installed.worker.wait_until_at_rest()
            idle = self._growth(lambda: time.sleep(IDLE_SECONDS))
            busy = self._growth(lambda: self._flow(producer, self._load.jobs, self._load.per_second))
        calls, expected = self._count_calls(), self._sent * (2 if self._load.kind == "retries" else 1)
        if calls != expected:
            raise ServerTrouble(f"{calls} calls instead of {expected}")
        worker_bytes, redis_bytes = self._installed.worker.peak_bytes(), self._running.redis.used_bytes()
        series = len(_SAMPLE.findall(gzip.decompress(page.scrape())))
        return Measured(self._load, idle, busy, redis_bytes, worker_bytes, series)

    def _growth(self, act: Callable[[], None]) -> Standing:
        before = self._standing()
        act()
        return self._standing().since(before)

    def _flow(self, producer: Producer, jobs: int, per_second: float) -> None:
        """Send so many jobs evenly, and wait until their events have been read and their webhooks delivered."""
        began, first = time.monotonic(), 8 if self._load.kind == "retries" else 2
        for number in range(jobs):
            time.sleep(max(began + number / per_second - time.monotonic(), 0))
            account = f"a{number % self._load.accounts}"
            phone = f"{first}{self._sent + number:09}"
            producer.enqueue(new_job(str(uuid.uuid4()), account, phone))
        self._sent += jobs
        wait_for_count(self._read, self._sent, check=self._installed.worker.check)
        if self._load.kind == "webhook":
            wait_for_count(lambda: -self._pending(), 0, check=self._installed.worker.check)

    def _pending(self) -> int:
        return sum(hooks.pending(self._running.redis, f"a{number}") for number in range(self._load.accounts))

    def _count_calls(self) -> int:
        return self._running.providers[self._load.latency_ms].count()

    def _standing(self) -> Standing:
        running, worker = self._running, self._installed.worker
        return Standing(
            time.monotonic(),
            worker.cpu_seconds(),
            running.redis.cpu_seconds(),
            cpu_seconds_of(running.rabbit.pid) if running.rabbit else 0.0,
            running.redis.used_bytes(),
            running.redis.file_bytes(),
            (running.folder / "output").stat().st_size,
        )


def _limits(load: Load, running: Servers, exits: ExitStack) -> dict[str, str]:
    names = [f"a{number}" for number in range(load.accounts)]
    if load.kind == "limited":
        an_hour = int(USED * 3600 * load.per_second / load.accounts)
        return dict.fromkeys(names, f'rate = "{an_hour}/h"\nconcurrency = 100')
    if load.kind != "webhook":
        return dict.fromkeys(names, UNLIMITED)
    folder = running.folder / "receiver"
    folder.mkdir()
    receiver = exits.enter_context(ReceiverProcess(folder))
    return {name: hooks.limits(name, f"{receiver.url}/{name}") for name in names}


@contextmanager
def _reader(running: Servers) -> Iterator[Callable[[], int]]:
    """Read the events of queue `results` in a thread, as a subscriber does. Yields what counts those that were read."""
    over, count = threading.Event(), 0

    def read() -> None:
        nonlocal count
        take = _takes_amqp(running.broker_url) if running.is_amqp else _takes_list(running)
        with take as taken:
            while not over.wait(READ_SECONDS):
                count += taken()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield lambda: count
    finally:
        over.set()
        thread.join()


@contextmanager
def _takes_list(running: Servers) -> Iterator[Callable[[], int]]:
    yield lambda: len(running.redis.client.lpop("results", MAX_READ) or ())


@contextmanager
def _takes_amqp(url: str) -> Iterator[Callable[[], int]]:
    taken: list[Any] = []
    with Connection(url) as connection, connection.channel() as channel:
        channel.basic_qos(0, MAX_READ, False)
        channel.basic_consume("results", callback=taken.append)

        def take() -> int:
            with suppress(TimeoutError):
                while len(taken) < MAX_READ:
                    connection.drain_events(timeout=0.05)
            if count := len(taken):
                channel.basic_ack(taken[-1].delivery_tag, multiple=True)
            taken.clear()
            return count

        yield take
