"""The catalogue of faults: each cell knows how to do one trial of itself."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from tests.faults.bench import Run
from tests.faults.proxy import Fault, Illness
from tests.faults.workers import has_raised, is_dead, is_frozen
from tests.integration.stack import Worker
from worker.failpoints import POINTS

ACTIONS = ("kill", "stop", "raise")
JOBS = 30
LOT, LOTS_MOST = 6, 25
REACHED_WITHIN_SECONDS = 12.0

FREEZE_SECONDS = {
    "relay": 35,
    "confirm": 35,
    "delivery": 65,
    "fetch": 65,
    "decode": 65,
    "admit": 65,
    "acknowledge": 65,
}
"""Beyond the lease of what the step has in hand: an outbox 30 s, a delivery or a message 60 s; a job 16 s."""
FREEZE_JOB_SECONDS = 19

PASSES_MOST = {"fetch": 30, "park": 2, "delivery": 2}
"""A failpoint goes off at a random pass up to this; else up to 3."""


@dataclass(frozen=True)
class Cell:
    """A fault. `trial` does it once in a run and says whether it came about; `standing` workers work meanwhile."""

    name: str
    trial: Callable[[Run], bool]
    standing: int = 2
    proxied: bool = False
    trials_per_drain: int = 10


def cells(broker: str) -> list[Cell]:
    """Every cell for a broker, "redis" or "amqp"."""
    targets = ("redis", "provider") if broker == "redis" else ("redis", "amqp", "provider")
    return [*_failpoints(broker), *_network(targets), *_servers(broker), *_workers()]


def _failpoints(broker: str) -> list[Cell]:
    return [
        Cell(f"point.{point}.{action}", partial(reach, [order]), standing=1)
        for point in POINTS
        for action in ACTIONS
        for order in [(point, action)]
    ]


def _network(targets: tuple[str, ...]) -> list[Cell]:
    return [
        Cell(f"net.{target}.{illness}", partial(ail, target, illness), proxied=True, trials_per_drain=5)
        for target in targets
        for illness in Illness
        if illness is not Illness.NONE
    ]


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
        Cell(f"server.{name}", partial(meanwhile, fault), trials_per_drain=5)
        for name, fault in faults.items()
    ]


def _workers() -> list[Cell]:
    faults: dict[str, Callable[[Run], None]] = {"kill": _kill_some, "stop": _freeze_one, "term": _roll}
    return [Cell(f"workers.{name}", partial(meanwhile, fault), 3) for name, fault in faults.items()]


def reach(orders: list[tuple[str, str]], run: Run) -> bool:
    """Arm a worker with each order, feed jobs until all have gone off; False if one did not."""
    run.send(LOT)
    armed = [(run.fleet.launch(_order(*order)), order[1]) for order in orders]
    run.armed += [worker for worker, _ in armed]
    ends = time.monotonic() + REACHED_WITHIN_SECONDS
    lots = 0
    while not all(_went_off(*order) for order in armed) and time.monotonic() < ends:
        if lots < LOTS_MOST:
            run.send(LOT)
            lots += 1
        run.pause(0.05, 0.15)
    run.mend()
    return all(_went_off(*order) for order in armed)


def _order(point: str, action: str) -> str:
    step = point.partition(".")[0]
    what = f"stop:{FREEZE_SECONDS.get(step, FREEZE_JOB_SECONDS)}" if action == "stop" else action
    return f"{point}={what}@{random.randint(1, PASSES_MOST.get(step, 3))}"


def _went_off(worker: Worker, action: str) -> bool:
    if action == "kill":
        return is_dead(worker)
    return is_frozen(worker) if action == "stop" else has_raised(worker)


def ail(target: str, illness: Illness, run: Run) -> bool:
    """Let the line to `target` be ill for a while, as jobs come in."""
    proxy = run.proxies[target]

    def fault(run: Run) -> None:
        proxy.ail(Fault(illness, random.choice((0, 1, 30, 100, 500, 2000))))
        try:
            run.pause(0.3, 7)
        finally:
            proxy.mend()

    return meanwhile(fault, run)


def meanwhile(fault: Callable[[Run], None], run: Run) -> bool:
    """Do `fault` while jobs are being sent."""
    with ThreadPoolExecutor(1) as producer:
        sending = producer.submit(run.send, JOBS, 0.01)
        run.pause(0, 0.5)
        fault(run)
        run.mend()
        sending.result()
    return True


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
