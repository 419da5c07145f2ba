"""The catalogue of faults: each cell knows how to do one trial of itself."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.faults.bench import Run
from tests.faults.namespace import allowed
from tests.faults.proxy import Fault, Illness
from tests.faults.workers import has_raised, is_dead, is_frozen
from tests.integration.stack import Worker
from worker.failpoints import POINTS

ACTIONS = ("kill", "stop", "raise")
AT_ONCE = 6
"""Workers that are armed together."""

JOBS = 30
LOT, LOTS_MOST = 6, 60
REACHED_WITHIN_SECONDS = 45.0
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
somebody looks; a job 16 s."""
FREEZE_JOB_SECONDS = 19

TARGETS = {"redis": ("redis", "provider"), "amqp": ("redis", "amqp", "provider")}
"""The servers that a worker talks to, by broker."""

PASSES_MOST = {"fetch.before": 30, "park": 2, "delivery": 2, "relay": 2, "confirm": 2}
"""A point, or both of a step, goes off at a random pass up to this; else up to 3."""


@dataclass(frozen=True)
class Order:
    """A failpoint and what it shall do, at a pass that differs from one order to the next."""

    point: str
    action: str
    at: int

    @classmethod
    def of(cls, point: str, action: str) -> Order:
        return cls(point, action, random.randint(1, PASSES_MOST.get(point, PASSES_MOST.get(_step(point), 3))))

    @property
    def name(self) -> str:
        return f"point.{self.point}.{self.action}"

    @property
    def seconds(self) -> int:
        """How long it freezes its worker."""
        return FREEZE_SECONDS.get(_step(self.point), FREEZE_JOB_SECONDS) if self.action == "stop" else 0

    def __str__(self) -> str:
        what = f"stop:{self.seconds}" if self.action == "stop" else self.action
        return f"{self.point}={what}@{self.at}"

    def met(self, worker: Worker) -> bool:
        """Whether `worker` has come to it."""
        if self.action == "kill":
            return is_dead(worker)
        return is_frozen(worker) if self.action == "stop" else has_raised(worker, self.point)


def _step(point: str) -> str:
    return point.partition(".")[0]


@dataclass(frozen=True)
class Cell:
    """One fault, or some that are put in together: to see a fault come about takes longer than it does.

    `trial` does it once in a run and says which of `names` came about; `standing` workers work meanwhile.
    """

    names: Sequence[str]
    trial: Callable[[Run], Collection[str]]
    standing: int = 2
    proxied: bool = False
    apart: bool = False
    trials_per_drain: int = 10


def cells(broker: str, wanted: Callable[[str], bool] = lambda _: True) -> list[Cell]:
    """The cells whose names are `wanted`, for a broker, "redis" or "amqp"."""
    alone = [*_network(TARGETS[broker]), *_cable(), *_servers(broker), *_workers()]
    return [*_failpoints(wanted), *(cell for cell in alone if wanted(cell.names[0]))]


def _failpoints(wanted: Callable[[str], bool]) -> list[Cell]:
    """Those together that freeze about as long."""
    orders = [Order.of(point, action) for action in ACTIONS for point in POINTS]
    orders = sorted((order for order in orders if wanted(order.name)), key=lambda order: order.seconds)
    groups = [orders[n : n + AT_ONCE] for n in range(0, len(orders), AT_ONCE)]
    return [
        Cell([order.name for order in group], partial(_reach_all, group), standing=1, trials_per_drain=1)
        for group in groups
    ]


def _reach_all(group: Sequence[Order], run: Run) -> Collection[str]:
    orders = [Order.of(order.point, order.action) for order in group]
    unmet = reach([[order] for order in orders], run)
    return [order.name for order in orders if order not in unmet]


def _network(targets: tuple[str, ...]) -> list[Cell]:
    return [
        _alone(f"net.{target}.{illness}", partial(ail, (target,), illness), proxied=True, trials_per_drain=5)
        for target in targets
        for illness in Illness
        if illness is not Illness.NONE
    ]


def _cable() -> list[Cell]:
    """The network of all workers is gone for a while, with everything on it."""
    if not allowed():
        return []
    ends = {"here": True, "there": False}
    return [
        _alone(f"cable.{end}", partial(meanwhile, partial(cut, here=here)), apart=True, trials_per_drain=5)
        for end, here in ends.items()
    ]


def cut(run: Run, *, here: bool) -> None:
    """Pull the cable at one of its ends for some seconds."""
    assert run.namespace is not None
    run.namespace.pull(here=here)
    try:
        run.pause(0.3, 10)
    finally:
        run.namespace.plug(here=here)


def _servers(broker: str) -> list[Cell]:
    faults: dict[str, Callable[[Run], None]] = {
        "redis.restart": lambda run: _restart(run, "redis", "stop"),
        "redis.kill": lambda run: _restart(run, "redis", "kill"),
        "redis.sleep": lambda run: run.bench.redis.sleep(random.uniform(0.5, 8)),
        "redis.full": _fill,
    }
    if broker == "amqp":
        faults |= {
            "amqp.restart": lambda run: _restart(run, "rabbit", "stop"),
            "amqp.kill": lambda run: _restart(run, "rabbit", "kill"),
        }
    return [
        _alone(f"server.{name}", partial(meanwhile, fault), trials_per_drain=5)
        for name, fault in faults.items()
    ]


def _workers() -> list[Cell]:
    faults: dict[str, Callable[[Run], None]] = {"kill": _kill_some, "stop": _freeze_one, "term": _roll}
    return [
        _alone(f"workers.{name}", partial(meanwhile, fault), standing=3) for name, fault in faults.items()
    ]


def _alone(name: str, fault: Callable[[Run], None], **options: Any) -> Cell:
    """A fault that always comes about."""

    def trial(run: Run) -> Collection[str]:
        fault(run)
        return [name]

    return Cell([name], trial, **options)


def reach(orders: Sequence[Sequence[Order]], run: Run) -> list[Order]:
    """Arm a worker with each of the lists, and feed jobs until all orders were met; those that were not."""
    run.dismiss()
    run.send(LOT)
    armed = [(run.fleet.launch(" ".join(map(str, own))), own) for own in orders]
    run.armed += [worker for worker, _ in armed]
    ends = time.monotonic() + REACHED_WITHIN_SECONDS + len(armed)
    lots = LOTS_MOST * len(armed)
    while (unmet := _unmet(armed)) and time.monotonic() < ends:
        if lots:
            run.send(LOT)
            lots -= 1
        run.pause(0.1, 0.3)
    run.mend()
    return unmet


def _unmet(armed: Sequence[tuple[Worker, Sequence[Order]]]) -> list[Order]:
    return [order for worker, own in armed for order in own if not order.met(worker)]


def ail(targets: Sequence[str], illness: Illness, run: Run) -> None:
    """Let the lines to `targets` be ill for a while, as jobs come in."""
    fault = Fault(illness, random.choice((0, 1, 30, 100, 500, 2000)))

    def fall_ill(run: Run) -> None:
        for target in targets:
            run.proxies[target].ail(fault)
        try:
            run.pause(0.3, 7)
        finally:
            for target in targets:
                run.proxies[target].mend()

    meanwhile(fall_ill, run)


def meanwhile(fault: Callable[[Run], None], run: Run) -> None:
    """Do `fault` while jobs are being sent."""
    with ThreadPoolExecutor(1) as producer:
        sending = producer.submit(run.send, JOBS, 0.01)
        run.pause(0, 0.5)
        fault(run)
        run.mend()
        sending.result()


def _restart(run: Run, name: str, how: str) -> None:
    server = run.bench.redis if name == "redis" else run.bench.rabbit
    assert server is not None
    server.restart(getattr(server, how), random.uniform(0, 2))


def _fill(run: Run) -> None:
    run.bench.redis.fill_disk()
    try:
        run.pause(0.5, 5)
    finally:
        run.bench.redis.free_disk()


def _kill_some(run: Run) -> None:
    for _ in range(random.randint(1, 3)):
        run.fleet.kill_one()
        run.pause(0, 1)


def _freeze_one(run: Run) -> None:
    run.freeze_one(FREEZE_JOB_SECONDS)
    run.fleet.stand(3)


def _roll(run: Run) -> None:
    """A deploy: a new worker stands before an old one is told to go."""
    run.fleet.stand(4)
    run.fleet.retire(run.fleet.standing.pop(0))
