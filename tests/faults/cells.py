"""The catalogue of faults: each cell knows how to do one trial of itself."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from tests.faults.cell import FEW_JOBS, JOBS, Cell, alone, meanwhile
from tests.faults.inputs import hostile_messages
from tests.faults.namespace import allowed
from tests.faults.outages import outages
from tests.faults.proxy import Fault, Illness
from tests.faults.run import Run
from tests.faults.workers import has_reached, is_dead, is_frozen
from tests.integration.stack import Worker
from worker.failpoints import POINTS

ACTIONS = ("kill", "stop", "raise")
AT_ONCE = 8
"""Workers that are armed and have not met their failpoint yet: more would idle more than they meet."""

FROZEN_AT_ONCE = 30
"""The same, where a frozen worker takes a share of the messages with it, as RabbitMQ hands them out: then all freeze at
about the same time."""

RAISES_TOGETHER = 5
"""Failpoints that raise in one worker, which lives on; one that kills or freezes has a worker of its own."""

MAX_LOT = 20
READY = " ready."
"""What a worker's log says once it takes messages."""

REACHED_WITHIN_SECONDS = 60.0
"""What a worker that died or is frozen had in hand comes back after a while; till then there may be nothing to do."""

FREEZE_SECONDS = {
    "relay": 13,
    "confirm": 13,
    "delivery": 28,
    "fetch": 23,
    "decode": 23,
    "admit": 23,
    "acknowledge": 23,
}
"""Beyond the lease of what the step has in hand: an outbox 10 s, a delivery 25 s, a message 15 s and up to 5 s until
somebody looks; a job 30 s."""
FREEZE_JOB_SECONDS = 34

TARGETS = {"redis": ("redis", "provider"), "amqp": ("redis", "amqp", "provider")}
"""The servers that a worker talks to, by broker."""

MAX_PASSES = {"park": 2, "delivery": 2, "relay": 2, "confirm": 2}
"""Both points of a step go off at a random pass up to this; else up to 3."""

MAX_IDLE_PASSES = 30
"""The same for `fetch.before` on Redis, which a worker passes even if there is no message."""


@dataclass(frozen=True)
class Order:
    """A failpoint, its action, and the pass at which it acts (random for each order)."""

    point: str
    action: str
    at: int

    @classmethod
    def of(cls, point: str, action: str, broker: str) -> Order:
        idle = point == "fetch.before" and broker == "redis"
        most = MAX_IDLE_PASSES if idle else MAX_PASSES.get(_step(point), 3)
        return cls(point, action, random.randint(1, most))

    @property
    def name(self) -> str:
        return f"point.{self.point}.{self.action}"

    @property
    def seconds(self) -> int:
        """How long the order freezes its worker."""
        return FREEZE_SECONDS.get(_step(self.point), FREEZE_JOB_SECONDS) if self.action == "stop" else 0

    def __str__(self) -> str:
        what = f"stop:{self.seconds}" if self.action == "stop" else self.action
        return f"{self.point}={what}@{self.at}"

    def met(self, worker: Worker) -> bool:
        """Return whether `worker` has come to the failpoint."""
        if self.action == "kill":
            killed = worker.process.poll() == -signal.SIGKILL
            return killed and has_reached(worker, self.point)
        return is_frozen(worker) if self.action == "stop" else has_reached(worker, self.point)


def _step(point: str) -> str:
    return point.partition(".")[0]


def cells(broker: str, wanted: Callable[[str], bool] = lambda _: True, jobs: int = FEW_JOBS) -> list[Cell]:
    """Return the `wanted` cells for a broker, "redis" or "amqp"; each trial sends `jobs` jobs."""
    single = [
        *_network(TARGETS[broker], jobs),
        *_cable(jobs),
        *outages(broker, jobs),
        *hostile_messages(broker, jobs),
        *_workers(jobs),
    ]
    return [*_failpoints(broker, wanted), *(cell for cell in single if wanted(cell.names[0]))]


def _failpoints(broker: str, wanted: Callable[[str], bool]) -> list[Cell]:
    """Return one cell for each action, with all failpoints that take it."""
    found = []
    for action in ACTIONS:
        points = [point for point in POINTS if wanted(f"point.{point}.{action}")]
        if points:
            names = [f"point.{point}.{action}" for point in points]
            at_once, trials, drains = AT_ONCE, 5, 2
            if action == "stop" and broker == "amqp":
                at_once, trials, drains = FROZEN_AT_ONCE, 1, 5
            trial = partial(_reach_all, action, points, at_once)
            found.append(Cell(names, trial, standing=1, trials_per_drain=trials, drains=drains))
    return found


def _reach_all(action: str, points: Sequence[str], at_once: int, run: Run, count: int) -> Counter[str]:
    together = RAISES_TOGETHER if action == "raise" else 1
    lists: list[list[Order]] = []
    for _ in range(count):
        orders = [Order.of(point, action, run.bench.broker) for point in random.sample(points, len(points))]
        lists += [orders[n : n + together] for n in range(0, len(orders), together)]
    unmet = {id(order) for order in reach(lists, run, at_once)}
    return Counter(order.name for own in lists for order in own if id(order) not in unmet)


def _network(targets: tuple[str, ...], jobs: int) -> list[Cell]:
    return [
        alone(f"net.{target}.{illness}", partial(ail, (target,), illness, jobs=jobs), proxied=True)
        for target in targets
        for illness in Illness
        if illness is not Illness.NONE
    ]


def _cable(jobs: int) -> list[Cell]:
    """Return the cells that cut the network of all workers for a while."""
    if not allowed():
        return []
    ends = {"here": True, "there": False}
    return [
        alone(f"cable.{end}", partial(meanwhile, partial(cut, here=here), jobs=jobs), apart=True)
        for end, here in ends.items()
    ]


def cut(run: Run, *, here: bool) -> None:
    """Pull the cable at one of its ends for some seconds."""
    assert run.namespace is not None
    run.namespace.pull(here=here)
    try:
        run.last(0.3, 10)
    finally:
        run.namespace.plug(here=here)


def _workers(jobs: int) -> list[Cell]:
    faults: dict[str, Callable[[Run], None]] = {"kill": _kill_some, "stop": _freeze_one, "term": _roll}
    return [
        alone(f"workers.{name}", partial(meanwhile, fault, jobs=jobs), standing=3)
        for name, fault in faults.items()
    ]


class _Armed:
    """A worker, and those of its orders that it has not met."""

    def __init__(self, orders: Sequence[Order], run: Run) -> None:
        self.worker, self.left = run.arm(" ".join(map(str, orders))), list(orders)
        self._ends = time.monotonic() + REACHED_WITHIN_SECONDS
        self._ready = False

    @property
    def ready(self) -> bool:
        """Whether the worker has logged that it is ready for work."""
        self._ready = self._ready or READY in self.worker.output
        return self._ready

    def look(self) -> bool:
        """Return whether there are orders that the worker can still meet."""
        ended = is_dead(self.worker)
        self.left = [order for order in self.left if not order.met(self.worker)]
        return bool(self.left) and not ended and time.monotonic() < self._ends


def reach(orders: Iterable[Sequence[Order]], run: Run, at_once: int = AT_ONCE) -> list[Order]:
    """Arm one worker for each list, `at_once` at a time, and feed jobs. Return the orders that were not met."""
    run.dismiss()
    waiting, armed, unmet = deque(orders), list[_Armed](), list[Order]()
    while waiting or armed:
        while waiting and len(armed) < at_once:
            armed.append(_Armed(waiting.popleft(), run))
        ready = sum(one.ready for one in armed)
        if ready * 2 >= len(armed):
            run.send(min(ready, MAX_LOT))
        run.pause(0.1, 0.3)
        for done in [one for one in armed if not one.look()]:
            armed.remove(done)
            unmet += done.left
            if not is_dead(done.worker) and not is_frozen(done.worker):
                run.let_go(done.worker)
    run.repair()
    return unmet


def ail(targets: Sequence[str], illness: Illness, run: Run, *, jobs: int = JOBS) -> None:
    """Disturb the lines to `targets` for a while, while jobs come in."""
    fault = Fault(illness, random.choice((0, 1, 30, 100, 500, 2000)))

    def fall_ill(run: Run) -> None:
        for target in targets:
            run.proxies[target].ail(fault)
        try:
            run.last(0.3, 7)
        finally:
            for target in targets:
                run.proxies[target].repair()

    meanwhile(fall_ill, run, jobs=jobs)


def _kill_some(run: Run) -> None:
    for _ in range(random.randint(1, 3)):
        run.fleet.kill_one()
        run.pause(0, 1)


def _freeze_one(run: Run) -> None:
    run.freeze_one(FREEZE_JOB_SECONDS)
    run.fleet.stand(3)


def _roll(run: Run) -> None:
    """Deploy: start a new worker before an old one is told to end."""
    run.fleet.stand(4)
    run.fleet.retire(run.fleet.standing.pop(0))
