"""Drives one Redis to its limit with what workers send it for each job, and says what takes its time.

The ledger puts jobs on record, each of another account, and what it sends is noted. The same bytes then go out over
many connections, one step after the other, so that Redis is busy all the time and each step is measured alone. The
broker is not among it: it may be another server.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import NAMESPACE_OID, uuid5

import redis

from ops.bench.replay import Noting, Trip, replay
from ops.bench.servers import BenchRedis
from ops.bench.table import aligned
from tests.doubles.samples import account, application, placed
from worker.core.records import Ending, Lease
from worker.core.retry import Tally
from worker.core.shards import SHARDS
from worker.redisio.connection import connect
from worker.state.ledger import RedisLedger
from worker.state.lua import store_scripts
from worker.state.outbox import RedisOutbox

CONNECTIONS = 16
LEASE_SECONDS, RETENTION_SECONDS = 600.0, 7 * 86400
AT_ONCE, BY_THE_LANE = "at once", "by the lane"

_SCRIPT = "cmdstat_evalsha"


@dataclass(frozen=True)
class Spent:
    """What a step took for each job (µs): time, Redis' CPU time, and of that each command and the scripts with theirs.

    Redis measures commands and scripts by the time that passed: on a busy machine they seem longer than they are.
    """

    wall: float
    cpu: float
    commands: Mapping[str, float]
    scripts: float

    @property
    def lua(self) -> float:
        """What scripts take beside their commands."""
        return max(self.scripts - sum(self.commands.values()), 0.0) if self.scripts else 0.0

    @property
    def rest(self) -> float:
        """What reading, answering and writing the file take."""
        return max(self.cpu - self.lua - sum(self.commands.values()), 0.0)


def measure(jobs: int, batches: list[int], rounds: int) -> tuple[str, dict[str, Any]]:
    """Measure with each size of batch, each way, the best of so many rounds of each step."""
    texts, data = [], {}
    for batch in batches:
        for way in (AT_ONCE, BY_THE_LANE):
            steps = _best([_round(jobs, batch, lane=way == BY_THE_LANE) for _ in range(rounds)])
            texts.append(_told(way, batch, steps))
            data[f"{way}, {batch}"] = {step: vars(spent) for step, spent in steps.items()}
    return "\n\n".join(texts), {"ceiling": data}


def _round(jobs: int, batch: int, *, lane: bool) -> dict[str, Spent]:
    with (
        tempfile.TemporaryDirectory(prefix="cw-bench-") as name,
        BenchRedis(Path(name), on_disk=True) as server,
    ):
        noted = _noted(server.url, jobs, batch, lane=lane)
        server.client.flushall()
        port = urlsplit(server.url).port or 0
        steps = {step: partial(replay, port, trips, CONNECTIONS) for step, trips in noted.items()}
        steps["relay"] = partial(_publish, server.url, batch)
        return {step: _spent(server.client, jobs, act) for step, act in steps.items()}


def _noted(url: str, jobs: int, batch: int, *, lane: bool) -> dict[str, list[Trip]]:
    """Put jobs on record and end them. Return the round trips of each step.

    Jobs that wait are leased in the order in which they came, so each lease may lease any of them later.
    """
    client = connect(url)
    nodes = Noting(client)
    ledger = RedisLedger(
        store_scripts(client, nodes), lease_seconds=LEASE_SECONDS, retention_seconds=RETENTION_SECONDS
    )
    owners = [
        account(f"customer-{uuid5(NAMESPACE_OID, str(n)).hex[:8]}", rate="1000/s", burst=10, concurrency=10)
        for n in range(jobs)
    ]
    # The first one makes scripts and connection known.
    _end(ledger, _go(ledger, [application("first", owners[0], may_dial=not lane)], lane=lane))
    nodes.taken()
    steps: dict[str, list[Trip]] = {}
    for start in range(0, jobs, batch):
        some = [
            application(f"job-{n}", owners[n], may_dial=not lane)
            for n in range(start, min(start + batch, jobs))
        ]
        _end(ledger, _go(ledger, some, lane=lane))
        names = ["claim", "admit", "lease", "settle"] if lane else ["claim", "admit", "settle"]
        for name, trip in zip(names, nodes.taken(), strict=True):
            steps.setdefault(name, []).append(trip)
    return steps


def _go(ledger: RedisLedger, jobs: list[Any], *, lane: bool) -> list[Lease]:
    found = ledger.admit(jobs)
    return ledger.lease_due(len(jobs)).leases if lane else [one for one in found if isinstance(one, Lease)]


def _end(ledger: RedisLedger, leases: list[Lease]) -> None:
    ledger.record([Ending(one, account(one.job.account), Tally(sent=1), placed(one)) for one in leases])


def _publish(url: str, batch: int) -> None:
    outbox = RedisOutbox(store_scripts(connect(url)), most=max(batch // SHARDS, 1))
    while found := outbox.next():
        for shard, events in found.items():
            outbox.published(shard, len(events))


def _spent(client: redis.Redis, jobs: int, act: Callable[[], None]) -> Spent:
    before = _commands(client)
    cpu, began = _cpu_us(client), time.perf_counter()
    act()
    wall, cpu = (time.perf_counter() - began) * 1e6, _cpu_us(client) - cpu
    spent = _commands(client)
    spent.subtract(before)
    scripts = spent.pop(_SCRIPT, 0)
    commands = {name.removeprefix("cmdstat_"): us / jobs for name, us in spent.items() if us > 0}
    return Spent(wall / jobs, cpu / jobs, commands, scripts / jobs)


def _cpu_us(client: redis.Redis) -> float:
    spent: Any = client.info("cpu")
    return float(spent["used_cpu_user_main_thread"] + spent["used_cpu_sys_main_thread"]) * 1e6


def _commands(client: redis.Redis) -> Counter[str]:
    stats: Any = client.info("commandstats")
    return Counter({name: entry["usec"] for name, entry in stats.items()})


def _best(rounds: Sequence[Mapping[str, Spent]]) -> dict[str, Spent]:
    """Return the least of each figure: what it costs if nothing else is in the way."""
    return {step: _least([one[step] for one in rounds]) for step in rounds[0]}


def _least(some: Sequence[Spent]) -> Spent:
    return Spent(
        wall=min(one.wall for one in some),
        cpu=min(one.cpu for one in some),
        commands={name: min(one.commands.get(name, 0.0) for one in some) for name in some[0].commands},
        scripts=min(one.scripts for one in some),
    )


def _told(way: str, batch: int, steps: Mapping[str, Spent]) -> str:
    cpu, wall = sum(one.cpu for one in steps.values()), sum(one.wall for one in steps.values())
    of_all: Counter[str] = Counter()
    cells: list[Sequence[str]] = [("step", "CPU µs/job", "commands", "Lua", "in and out")]
    for step, one in steps.items():
        of_all.update(one.commands)
        parts = (one.cpu, sum(one.commands.values()), one.lua, one.rest)
        cells.append((step, *(f"{part:.0f}" for part in parts)))
    most = ", ".join(f"{name} {us:.0f}" for name, us in of_all.most_common(5))
    return (
        f"{way}, batches of {batch}: {1e6 / wall:,.0f} jobs/s; {cpu:.0f} µs of Redis' CPU a job, "
        f"which allows {1e6 / cpu:,.0f} jobs/s\n{aligned(cells)}\ncommands that take most, in µs a job: {most}"
    )
