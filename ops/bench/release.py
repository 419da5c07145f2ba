"""Measures the cost of releasing a waiting job, by the number of accounts that have jobs waiting.

It calls the ledger without a worker: jobs that are all due are put into lanes, and then leased a hundred at a time, as
the releaser does.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from ops.bench.contenders import KEY_VARIABLE, new_job
from ops.bench.servers import BenchRedis
from ops.bench.waiting import STANDSTILL_SECONDS
from tests.faults.servers import ServerTrouble
from worker.core.accounts import Account
from worker.core.jobs import Job
from worker.core.ports import Ledger
from worker.core.records import Application, Source
from worker.redisio.connection import connect
from worker.state.ledger import RedisLedger
from worker.state.lua import store_scripts

BATCH = 100
FILL_BATCH = 500
LEASE_SECONDS, RETENTION_SECONDS = 600.0, 86400


def measure(accounts: list[int], releases: int) -> tuple[str, dict[str, Any]]:
    """Measure with each number of accounts, on a Redis of its own."""
    found = [{"accounts": number, **_one(number, releases)} for number in accounts]
    lines = (
        f"{row['accounts']:>9,} accounts: {row['us_per_release']:6.0f} µs per release, "
        f"of these {row['redis_cpu_us_per_release']:.0f} µs of Redis' CPU"
        for row in found
    )
    return "\n".join(lines), {"release": found}


def _one(accounts: int, releases: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="cw-bench-") as name, BenchRedis(Path(name)) as server:
        ledger = RedisLedger(
            store_scripts(connect(server.url)),
            lease_seconds=LEASE_SECONDS,
            retention_seconds=RETENTION_SECONDS,
        )
        fill(ledger, accounts, max(accounts, releases))
        lease_due(ledger, BATCH)
        cpu, began = server.cpu_seconds(), time.perf_counter()
        done = lease_due(ledger, releases - BATCH)
        seconds, cpu = time.perf_counter() - began, server.cpu_seconds() - cpu
    return {"us_per_release": seconds * 1e6 / done, "redis_cpu_us_per_release": cpu * 1e6 / done}


def fill(ledger: Ledger, accounts: int, jobs: int) -> None:
    """Put jobs into the lanes of so many accounts; all are due."""
    waiting = _applications(accounts, jobs)
    while some := list(islice(waiting, FILL_BATCH)):
        ledger.admit(some)


def _applications(accounts: int, jobs: int) -> Iterator[Application]:
    """Yield jobs that may not go at once, for each account in turn."""
    for number in range(jobs):
        account = _account(number % accounts)
        job = Job.parse(new_job(f"r-{number}", account.name))
        yield Application(job, account, Source.CELERY, may_dial=False)


@lru_cache(maxsize=1000)  # a million of them would take more memory here than in Redis
def _account(number: int) -> Account:
    return Account(
        name=f"a{number}",
        api_key_env=KEY_VARIABLE,
        rate="999999/s",
        burst=100_000,
        concurrency=100_000,
        ttl=86400,
    )


def lease_due(ledger: Ledger, least: int) -> int:
    """Lease at least `least` jobs and return how many. Raises ServerTrouble if none come."""
    done, ends = 0, time.monotonic() + STANDSTILL_SECONDS
    while done < least:
        leases = ledger.lease_due(BATCH).leases
        done += len(leases)
        if leases:
            ends = time.monotonic() + STANDSTILL_SECONDS
        elif time.monotonic() > ends:
            raise ServerTrouble(f"no more than {done} of {least} jobs were released")
    return done
