"""The short form of the fault harness: every cell once, many at a time, on both brokers at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import pytest

from tests.faults.bench import Bench
from tests.faults.cell import JOBS, meanwhile
from tests.faults.cells import TARGETS, Order, ail, cells, cut, reach
from tests.faults.load import SLOW_ENDINGS
from tests.faults.namespace import allowed
from tests.faults.oracle import Verdict
from tests.faults.outages import PATIENT
from tests.faults.proxy import Illness
from tests.faults.redis_server import clock_can_be_set
from tests.faults.run import Run
from tests.processes import SERVERS_ARE_REQUIRED, absent
from tests.rabbit import need_rabbitmq
from worker.embedded import EmbeddedServerError, find_binary
from worker.failpoints import POINTS

BROKERS = ("redis", "amqp")
RAISING = 6
pytestmark = [pytest.mark.alone, pytest.mark.timeout(900)]


@dataclass
class Short:
    """The result of one broker's faults: the verdict, the failpoints that were not met, and how long the drain took."""

    verdict: Verdict
    unmet: list[Order] = field(default_factory=list)
    drains: list[float] = field(default_factory=list)


Runs = dict[str, "Future[dict[str, Short]]"]


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    """Start both brokers' runs at the same time, because they mostly wait."""
    _need_servers()
    with ThreadPoolExecutor(len(BROKERS)) as pool:
        yield {broker: pool.submit(_parts, broker) for broker in BROKERS}


def _need_servers() -> None:
    try:
        find_binary()
    except EmbeddedServerError:
        absent("a Redis or Valkey server")
    need_rabbitmq()
    # Without it one cell is left out. A developer's run goes on; CI promises all cells.
    if SERVERS_ARE_REQUIRED and not clock_can_be_set():
        absent("libfaketime")


def _parts(broker: str) -> dict[str, Short]:
    with Bench(broker) as bench:
        parts = {
            "failpoints": _failpoints(bench),
            "surroundings": _surroundings(bench),
            "unharmed": _unharmed(bench),
        }
        return {**parts, "cable": _cable(bench)} if allowed() else parts


def _failpoints(bench: Bench) -> Short:
    """Reach every failpoint, beginning with those that freeze longest."""
    single = [[Order.of(point, action, bench.broker)] for action in ("stop", "kill") for point in POINTS]
    single.sort(key=lambda own: own[0].seconds, reverse=True)
    several = [
        [Order.of(point, "raise", bench.broker) for point in POINTS[n::RAISING]] for n in range(RAISING)
    ]
    with bench.run() as run:
        run.fleet.stand(1, cold=1)
        unmet = reach([*single, *several], run)
        if unmet:
            # Chance decides which worker gets a relay's or a courier's work: try once more, with one worker at a time.
            unmet = reach([[order] for order in unmet], run)
        return _ended(run, unmet)


def _surroundings(bench: Bench) -> Short:
    """Put in the faults of network and processes."""
    with bench.run(proxied=True) as run:
        run.fleet.stand(3)
        for illness in Illness:
            ail(TARGETS[bench.broker], illness, run)
        for cell in cells(bench.broker, lambda name: name.startswith("workers."), JOBS):
            cell.trial(run, 1)
        return _ended(run)


def _unharmed(bench: Bench) -> Short:
    """Put in the faults of servers and messages, which do not touch workers and their line to the provider."""
    some = [cell for cell in cells(bench.broker, jobs=JOBS) if cell.unharmed]
    with bench.run(proxied=True, settings=PATIENT, endings=SLOW_ENDINGS) as run:
        run.fleet.stand(3)
        for cell in some:
            cell.trial(run, 1)
        return _ended(run, unharmed=True)


def _cable(bench: Bench) -> Short:
    """Cut the workers' network at either end."""
    with bench.run(apart=True) as run:
        run.fleet.stand(2)
        for here in (True, False):
            meanwhile(partial(cut, here=here), run)
        return _ended(run)


def _ended(run: Run, unmet: Sequence[Order] = (), *, unharmed: bool = False) -> Short:
    run.drain()
    return Short(run.judge(unharmed=unharmed), list(unmet), run.drains)


@pytest.mark.parametrize("part", ["failpoints", "surroundings", "unharmed"])
@pytest.mark.parametrize("broker", BROKERS)
def test_promises_hold_under_faults(runs: Runs, broker: str, part: str) -> None:
    """No job is lost, rung too often or has two outcomes, no limit is broken, and the backlog drains by itself.

    If a fault does not touch workers, none of them ends, and no answer to a call is lost.
    """
    short = runs[broker].result()[part]
    assert short.verdict.accepted > 0 and short.verdict.details == [] and short.drains


@pytest.mark.skipif(not allowed(), reason="needs root, to make a network namespace")
@pytest.mark.parametrize("broker", BROKERS)
def test_promises_hold_when_the_network_is_cut(runs: Runs, broker: str) -> None:
    """The promises hold while provider, Redis, broker and subscribers are all unreachable for a while."""
    short = runs[broker].result()["cable"]
    assert short.verdict.accepted > 0 and short.verdict.details == [] and short.drains


@pytest.mark.parametrize("broker", BROKERS)
def test_every_failpoint_is_passed(runs: Runs, broker: str) -> None:
    """Workers reach every failpoint in the catalogue, so that the faults above were really put in."""
    assert runs[broker].result()["failpoints"].unmet == []
