"""One installation under test: its servers, its producer and subscribers, and one run of workers and jobs on it."""

from __future__ import annotations

import base64
import math
import random
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

from tests.faults.forkserver import ForkServer
from tests.faults.load import ACCOUNTS, HOOKED, Load, Sent
from tests.faults.namespace import Namespace
from tests.faults.oracle import Oracle, Verdict
from tests.faults.proxy import Proxy
from tests.faults.results import ResultsReader
from tests.faults.servers import Provider, Rabbit, Redis
from tests.faults.whereabouts import is_buried, whereabouts
from tests.faults.windows import Waking
from tests.faults.workers import Fleet, environ_for, is_dead, is_frozen, woken_at
from tests.integration.receiver import Hook, Receiver
from tests.integration.stack import Worker, accounts_toml, api_key, key_name

DRAINED_WITHIN_SECONDS = 180.0
LONG_SECONDS = 60.0
"""After so long one looks whether all that is missing is among the dead letters."""
LOOK_SECONDS = 0.05
_PHONE = re.compile(rb"phone=([0-9]+)")
LINGER_SECONDS = 1.5
"""How long a worker that was frozen, or that met an error, may show what it does next before it is told to go; what
failed is tried again after 1 s."""

SURPLUS_SECONDS = 0.5
"""How long one waits, once all is there, for what should not come."""


class Bench:
    """A Redis, a RabbitMQ where that is the broker, and everything outside the workers. A context manager."""

    def __init__(self, broker: str, *, forking: bool = True) -> None:
        """`broker`: "redis" (broker and state in one server) or "amqp" (RabbitMQ, with Redis for the state).

        `forking`: workers are forked from a process that has imported all they need; else each starts from nothing.
        """
        self.broker, self._forking = broker, forking
        self.oracle = Oracle()
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as exits:
            self.folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="cw-faults-")))
            self.forks = exits.enter_context(ForkServer(self.folder)) if self._forking else None
            self.redis = Redis(self._subfolder("redis"))
            exits.enter_context(self.redis)
            self.rabbit = Rabbit(self._subfolder("rabbit")) if self.broker == "amqp" else None
            if self.rabbit is not None:
                exits.enter_context(self.rabbit)
            self.receiver = exits.enter_context(Receiver(self._hooked))
            self.load = Load(self.broker_url)
            exits.callback(self.load.close)
            exits.enter_context(ResultsReader(self.broker_url, self.oracle.queued))
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    @property
    def broker_url(self) -> str:
        return self.rabbit.url if self.rabbit is not None else self.redis.url

    @contextmanager
    def run(self, *, proxied: bool = False, apart: bool = False) -> Iterator[Run]:
        """A provider and a fleet for some trials.

        `proxied`: a proxy stands before each server. `apart`: the workers have a network of their own, too.
        """
        with ExitStack() as exits:
            folder = self._subfolder(f"run-{time.time_ns()}")
            provider = Provider(folder, self.forks)
            exits.enter_context(provider)
            proxies = {}
            heard = RequestsHeard()
            namespace = exits.enter_context(Namespace()) if apart else None
            if proxied or namespace is not None:
                ears, host = {"provider": heard}, namespace.host if namespace is not None else "127.0.0.1"
                for name, port in self._ports(provider):
                    proxies[name] = exits.enter_context(Proxy(port, ears.get(name, _deaf), host=host))
            environ = self._environ(folder, provider, proxies)
            fleet = exits.enter_context(Fleet(folder, environ, namespace, self.forks))
            yield Run(self, folder, provider, fleet, proxies, heard, namespace)
        shutil.rmtree(folder)
        self.receiver.hooks.clear()

    def _ports(self, provider: Provider) -> list[tuple[str, int]]:
        ports = [("redis", self.redis.port), ("provider", provider.port), ("receiver", self.receiver.port)]
        return ports if self.rabbit is None else [*ports, ("amqp", self.rabbit.port)]

    def _environ(self, folder: Path, provider: Provider, proxies: dict[str, Proxy]) -> dict[str, str]:

        def through(name: str, url: str) -> str:
            if name not in proxies:
                return url
            port, proxy = dict(self._ports(provider))[name], proxies[name]
            return url.replace(f"127.0.0.1:{port}", f"{proxy.host}:{proxy.port}")

        webhook = {"url": f"{through('receiver', self.receiver.url)}/events", "secret_env": "HOOK_SECRET"}
        accounts = {
            name: {**table, "webhooks": [webhook]} if name in HOOKED else table
            for name, table in ACCOUNTS.items()
        }
        (folder / "accounts.toml").write_text(accounts_toml(accounts), encoding="utf-8")

        return environ_for(
            folder,
            REDIS_URL=through("redis", self.redis.url),
            BROKER_URL=through("amqp" if self.rabbit else "redis", self.broker_url),
            PROXSTOP_URL=through("provider", provider.url),
            HOOK_SECRET="whsec_" + base64.b64encode(b"0" * 24).decode(),
            **{key_name(name): api_key(name) for name in ACCOUNTS},
        )

    def _hooked(self, hook: Hook) -> int:
        self.oracle.hooked(hook.body, hook.unix)
        return 200

    def _subfolder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder


def random_seconds(least: float, most: float) -> float:
    """How long a fault lasts; the logarithm is evenly spread: often it is brief, now and then as long as can be."""
    return math.exp(random.uniform(math.log(least), math.log(most)))


class RequestsHeard:
    """The requests that a proxy before the provider has heard: when, and for which number."""

    def __init__(self) -> None:
        self.requests: list[tuple[float, str]] = []

    def __call__(self, piece: bytes, unix: float) -> None:
        """A worker writes a whole request at once; a number that is split between two pieces is not seen."""
        if found := _PHONE.search(piece):
            self.requests.append((unix, found[1].decode()))


def _deaf(piece: bytes, unix: float) -> None:
    """Nobody listens."""


@dataclass
class Run:
    """Some trials over one fleet, judged together."""

    bench: Bench
    folder: Path
    """Its workers' logs."""
    provider: Provider
    fleet: Fleet
    proxies: dict[str, Proxy]
    heard: RequestsHeard
    namespace: Namespace | None = None
    jobs: list[Sent] = field(default_factory=list)
    armed: list[Worker] = field(default_factory=list)
    """Workers that are, or were, about to meet a failpoint."""
    drains: list[float] = field(default_factory=list)
    mended: float = 0.0
    _frozen: dict[Worker, float] = field(default_factory=dict)
    """And since when (Unix seconds)."""
    _to_wake: list[tuple[float, Worker]] = field(default_factory=list)
    _to_go: list[tuple[float, Worker]] = field(default_factory=list)
    _undrained: int = 0

    def send(self, count: int, pause_seconds: float = 0.0) -> None:
        for _ in range(count):
            self.jobs += self.bench.load.send(1, pause_seconds)

    def mend(self) -> None:
        """Note that the fault is over."""
        self.mended = time.time()

    def freeze_one(self, seconds: float) -> None:
        """SIGSTOP to a standing worker, in whose place another one stands; it is woken after `seconds`."""
        worker = self.fleet.freeze_one()
        self.fleet.standing.remove(worker)
        self.armed.append(worker)
        self._to_wake.append((time.monotonic() + seconds, worker))

    def arm(self, orders: str) -> Worker:
        """One more worker, which is about to meet failpoints."""
        worker = self.fleet.launch(orders)
        self.armed.append(worker)
        return worker

    def look(self) -> None:
        """What a supervisor and a watch would do; called in every wait."""
        for due in [due for due in self._to_wake if due[0] <= time.monotonic()]:
            self._to_wake.remove(due)
            self.fleet.wake(due[1])
        self.armed = [worker for worker in self.armed if not is_dead(worker)]
        for worker in self.armed:
            if is_frozen(worker):
                self._frozen.setdefault(worker, time.time())
        for worker in [worker for worker in self._frozen if not is_frozen(worker)]:
            since = self._frozen.pop(worker)
            self.fleet.wakings.append(Waking(woken_at(worker) - 2 * LOOK_SECONDS, since))
            self.let_go(worker)
        for due in [due for due in self._to_go if due[0] <= time.monotonic()]:
            self._to_go.remove(due)
            due[1].terminate()
        self.fleet.supervise()

    def let_go(self, worker: Worker) -> None:
        """Tell a worker to go, after a while."""
        self._to_go.append((time.monotonic() + LINGER_SECONDS, worker))

    def dismiss(self) -> None:
        """Tell the armed workers to go that did not meet their failpoint."""
        waited_for = {worker for _, worker in (*self._to_wake, *self._to_go)}
        for worker in self.armed:
            if not is_dead(worker) and worker not in self._frozen and worker not in waited_for:
                worker.terminate()

    def wait(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Look until `holds()`; whether it did within `seconds`."""
        ends = time.monotonic() + seconds
        while not (held := holds()) and time.monotonic() < ends:
            self.look()
            time.sleep(LOOK_SECONDS)
        return held

    def pause(self, least: float, most: float) -> None:
        """A random pause, watched."""
        self.wait(lambda: False, random.uniform(least, most))

    def last(self, least: float, most: float) -> None:
        """Let a fault last for `random_seconds`, watched."""
        self.wait(lambda: False, random_seconds(least, most))

    def drain(self, within_seconds: float = DRAINED_WITHIN_SECONDS) -> None:
        """Wait until every event came and every frozen worker went on, and note how long it took."""
        waited, self._undrained = self.jobs[self._undrained :], len(self.jobs)
        self.wait(lambda: not self._frozen and not self._to_wake and not self._to_go, DRAINED_WITHIN_SECONDS)
        self.dismiss()
        drained = self._drained(waited, min(within_seconds, LONG_SECONDS)) or self._drained(
            waited, within_seconds
        )
        self.wait(lambda: False, SURPLUS_SECONDS)
        if drained:
            self.drains.append(max(self.bench.oracle.last_arrival(waited) - self.mended, 0.0))
        for worker in self.armed:
            if not is_dead(worker):
                self.fleet.retire(worker)
        self.armed.clear()

    def _drained(self, jobs: Sequence[Sent], within_seconds: float) -> bool:
        """Whether, within that time, every event came that will come."""
        self.wait(lambda: not self.bench.oracle.missing(jobs), within_seconds)
        return all(is_buried(self.bench.redis.client, job.id) for job in self.bench.oracle.missing(jobs))

    def judge(self) -> Verdict:
        """The verdict. With an ill line before the provider, requests come in later than they were sent: then the
        limits are judged by when the proxy heard them."""
        served = self.provider.served()
        sent = self.heard.requests if self.proxies else [(request.unix, request.phone) for request in served]
        where = partial(whereabouts, self.bench.redis.client)
        return self.bench.oracle.judge(self.jobs, served, sent, self.fleet.wakings, where)
