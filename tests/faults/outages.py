"""Faults of Redis and RabbitMQ as a whole: ended, frozen, full, failed over, with another clock, or strict."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from tests.faults.cell import Cell, alone, meanwhile
from tests.faults.load import SLOW_ENDINGS
from tests.faults.redis_server import clock_can_be_set
from tests.faults.run import Run, random_seconds
from tests.faults.servers import Rabbit, Server

PATIENT = {"PROXSTOP_TIMEOUT": "3"}
"""So long a busy sandbox may take for an answer, where each answer must be kept."""

LONGEST_LEASE_SECONDS = 30.0
"""Of the calls that this harness has made."""

CLOCK_STEP_SECONDS = 90.0
WAITING_FOR_ONE = 20
"""Jobs for each one of a usual trial, so that most of them wait for their slots."""

CONSUMER_TIMEOUT_SECONDS = 2.0


def outages(broker: str, jobs: int) -> list[Cell]:
    """Return the outages of a worker on this broker, "redis" or "amqp". None touches workers and provider."""
    faults: dict[str, Callable[[Run], None]] = {
        "redis.restart": lambda run: _restart(run.bench.redis, run.bench.redis.stop),
        "redis.kill": lambda run: _restart(run.bench.redis, run.bench.redis.kill),
        "redis.sleep": lambda run: run.bench.redis.sleep(random_seconds(0.5, 8)),
        "redis.full": _fill_disk,
        "redis.memory": lambda run: _fill_memory(run, 0.5, 60),
    }
    if broker == "amqp":
        faults |= {
            "amqp.restart": lambda run: _restart(_rabbit(run), _rabbit(run).stop),
            "amqp.kill": lambda run: _restart(_rabbit(run), _rabbit(run).kill),
            "amqp.timeout": _let_consumers_time_out,
            # On the other broker the messages would go back in time too.
            "redis.back": lambda run: run.bench.redis.set_back(random_seconds(0.3, 6)),
        }
    cells = [_cell(name, partial(meanwhile, fault, jobs=jobs)) for name, fault in faults.items()]
    cells += [
        _cell("redis.away", partial(meanwhile, _stay_away, jobs=jobs), trials_per_drain=2),
        _cell("redis.failover", partial(_fail_over, jobs=jobs), trials_per_drain=2, proxied=True),
    ]
    if clock_can_be_set():
        cells.append(_cell("redis.clock", partial(_set_clock, jobs=jobs), trials_per_drain=2))
    return cells


def _cell(
    name: str, fault: Callable[[Run], None], *, trials_per_drain: int = 10, proxied: bool = False
) -> Cell:
    return alone(
        f"server.{name}",
        fault,
        trials_per_drain=trials_per_drain,
        proxied=proxied,
        unharmed=True,
        settings=PATIENT,
        endings=SLOW_ENDINGS,
    )


def _restart(server: Server, end: Callable[[], None]) -> None:
    server.restart(end, random.uniform(0, 2))


def _rabbit(run: Run) -> Rabbit:
    assert run.bench.rabbit is not None
    return run.bench.rabbit


def _stay_away(run: Run) -> None:
    """Stop Redis for longer than any lease while calls are in flight."""
    run.pause(0.2, 0.6)
    run.bench.redis.restart(run.bench.redis.kill, random.uniform(1.1, 1.8) * LONGEST_LEASE_SECONDS)


def _fill_disk(run: Run) -> None:
    run.bench.redis.fill_disk()
    try:
        run.last(0.5, 5)
    finally:
        run.bench.redis.free_disk()


def _fill_memory(run: Run, least_seconds: float, most_seconds: float) -> None:
    run.bench.redis.fill_memory()
    try:
        run.last(least_seconds, most_seconds)
    finally:
        run.bench.redis.free_memory()


def _fail_over(run: Run, jobs: int) -> None:
    """Fail over: the address leads to a new primary; connections to the old one stay open, and it answers READONLY."""
    follower = run.bench.follower()

    def switch(run: Run) -> None:
        run.bench.fail_over(follower, run.proxies["redis"])
        run.last(0.1, 3)

    meanwhile(switch, run, jobs=jobs)


def _set_clock(run: Run, jobs: int) -> None:
    """Set Redis' clock back and then forward, or the reverse, while jobs wait for their slots."""
    run.bench.redis.have_clock_set()
    meanwhile(_step_twice, run, jobs=jobs * WAITING_FOR_ONE)


def _step_twice(run: Run) -> None:
    for offset_seconds in (random.choice((-1, 1)) * CLOCK_STEP_SECONDS, 0.0):
        run.bench.redis.set_clock(offset_seconds)
        run.last(1.5, 6)


def _let_consumers_time_out(run: Run) -> None:
    """Make RabbitMQ close the channels of workers that hold messages for too long, because Redis takes no writes."""
    with _rabbit(run).consumer_timeout(CONSUMER_TIMEOUT_SECONDS):
        _fill_memory(run, 3 * CONSUMER_TIMEOUT_SECONDS, 5 * CONSUMER_TIMEOUT_SECONDS)
