"""Measures how much of Redis' memory a job takes, waiting, dialled, ended, and with webhooks; what an account does; and
how much of a worker's memory a job takes that it remembers.

It calls the ledger without a worker, on a Redis of its own, with UUIDs as ids. `tests/contract/test_memory.py` holds
the figures.
"""

from __future__ import annotations

import gc
import tempfile
import time
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis

from ops.bench.servers import BenchRedis
from ops.bench.table import aligned
from tests.doubles.ages import grow_older
from tests.doubles.samples import account, application, placed
from worker.core.costs import JOURNAL_JOBS
from worker.core.endpoints import Endpoint
from worker.core.records import Ending, Lease, Parking, Reason
from worker.core.retry import Tally
from worker.delivery.ports import Attempt, AttemptResult, Conclusion, Health, Verdict
from worker.redisio.connection import connect
from worker.state.deliveries import RedisDeliveries
from worker.state.journal import Journal
from worker.state.lua import store_scripts
from worker.state.outbox import RedisOutbox
from worker.state.remembering import RememberingLedger

BATCH, WARM_UP = 100, 200
HOUR, RETENTION_SECONDS = 3600, 7 * 86400
ROOM: dict[str, Any] = {"burst": 1_000_000, "concurrency": 1_000_000, "ttl": 86400}
HOOK, SECOND_HOOK = (
    Endpoint(url=f"https://hooks.example.com/{name}", secret_env=("SECRET",), name=name, concurrency=BATCH)
    for name in ("orders", "ledger")
)
GOOD = Attempt(AttemptResult.DELIVERED, 0.1, 200)
REST_SECONDS, REST_BYTES, PATIENCE_SECONDS = 0.2, 8192, 30.0

WAITS = "waits for the first time"
WAITS_AGAIN = "waits after an attempt"
DIALLED = "is dialled"
UNPUBLISHED = "has ended, and the results queue has not taken its event"
ENDED = "has ended, in the first hour"
REMEMBERED = "has ended, from then on"
UNDELIVERED = "has ended, and a webhook has not taken its event"
DELIVERED = "has ended, and a webhook has taken its event"
DELIVERED_TWICE = "has ended, and two webhooks have taken its event"


class Store:
    """A Redis that is filled with jobs of one account, with an endpoint or without."""

    def __init__(self, client: redis.Redis, *hooks: Endpoint) -> None:
        self.client, self.account = client, account(rate="999999/s", webhooks=hooks, **ROOM)
        self._scripts = store_scripts(client)
        self.journal = Journal()
        self._ledger = RememberingLedger(
            self._scripts, lease_seconds=600.0, retention_seconds=RETENTION_SECONDS, journal=self.journal
        )
        self._ledger.declare([self.account])

    def declare(self, accounts: int) -> None:
        self._ledger.declare([account(f"customer-{number}", rate="5/s") for number in range(accounts)])

    def wait(self, jobs: int) -> None:
        for some in _portions(jobs):
            self._ledger.admit([application(str(uuid.uuid4()), self.account, may_dial=False) for _ in some])

    def wait_again(self, jobs: int) -> None:
        for leases in self._leases(jobs):
            self._ledger.record([
                Parking(lease, Tally(1, 1), Reason.BACKOFF, 3600.0, "the provider answered 503") for lease in leases
            ])  # fmt: skip

    def dial(self, jobs: int) -> None:
        for _ in self._leases(jobs):
            pass

    def end(self, jobs: int) -> None:
        for leases in self._leases(jobs):
            self._ledger.record([Ending(lease, self.account, Tally(1), placed(lease)) for lease in leases])

    def publish(self) -> None:
        outbox = RedisOutbox(self._scripts)
        while batches := outbox.next():
            for shard, batch in batches.items():
                outbox.published(shard, len(batch))

    def deliver(self) -> None:
        deliveries = RedisDeliveries(self._scripts, attempt_seconds=15)
        while taken := deliveries.take(BATCH):
            deliveries.record([
                Conclusion(one, Verdict.DELIVERED, "200", Health.GOOD, attempt=GOOD) for one in taken
            ])  # fmt: skip

    def used_bytes(self) -> int:
        """Return the memory of the data. Waits until Redis has ended what it does beside, as enlarging a table."""
        ends, now, before, freeing = time.monotonic() + PATIENCE_SECONDS, 0, -REST_BYTES, 0
        while (freeing or abs(now - before) >= REST_BYTES) and time.monotonic() < ends:
            before = now
            time.sleep(REST_SECONDS)
            facts = self.client.info("memory")
            now, freeing = int(facts["used_memory"]), int(facts["lazyfree_pending_objects"])
        return now

    def _leases(self, jobs: int) -> Iterator[list[Lease]]:
        for some in _portions(jobs):
            admitted = self._ledger.admit([application(str(uuid.uuid4()), self.account) for _ in some])
            yield [one for one in admitted if isinstance(one, Lease)]


def bytes_of_a_job(client: redis.Redis, jobs: int) -> dict[str, float]:
    """Return the bytes that one job takes, by what it does. Measures with so many, and empties that Redis."""
    return {
        WAITS: _growth(client, jobs, Store.wait),
        WAITS_AGAIN: _growth(client, jobs, Store.wait_again),
        DIALLED: _growth(client, jobs, Store.dial),
        UNPUBLISHED: _growth(client, jobs, Store.end),
        ENDED: _growth(client, jobs, _published),
        REMEMBERED: _growth(client, jobs, _remembered),
        UNDELIVERED: _growth(client, jobs, _published, HOOK),
        DELIVERED: _growth(client, jobs, _delivered, HOOK),
        DELIVERED_TWICE: _growth(client, jobs, _delivered, HOOK, SECOND_HOOK),
    }


def bytes_of_an_account(client: redis.Redis, accounts: int) -> float:
    """Return the bytes that an account takes while it has no jobs. Empties that Redis."""
    _empty(client)
    store = Store(client)
    before = store.used_bytes()
    store.declare(accounts)
    return (store.used_bytes() - before) / accounts


def file_share(client: redis.Redis, file: Path, jobs: int) -> float:
    """Return the size of Redis' file after it was written as a whole, as a share of the memory: with as many jobs that
    wait as have ended. Empties that Redis."""
    _empty(client)
    store = Store(client)
    before = store.used_bytes()
    _remembered(store, jobs)
    store.wait(jobs)
    client.save()
    return file.stat().st_size / (store.used_bytes() - before)


def bytes_of_a_remembered_job(client: redis.Redis, jobs: int) -> float:
    """Return the bytes that one job takes in a worker that remembers it, after it has ended. Empties that Redis."""
    _empty(client)
    store = Store(client)
    store.end(WARM_UP)
    tracemalloc.start()
    try:
        store.end(jobs)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] / jobs
    finally:
        tracemalloc.stop()


def measure(jobs: int) -> tuple[str, dict[str, Any]]:
    """Measure with so many jobs of each kind."""
    with tempfile.TemporaryDirectory(prefix="cw-bench-") as name, BenchRedis(Path(name)) as server:
        client = connect(server.url)
        found, of_account = bytes_of_a_job(client, jobs), bytes_of_an_account(client, jobs)
        share = file_share(client, Path(name, "dump.rdb"), jobs)
        remembered = bytes_of_a_remembered_job(client, min(jobs, JOURNAL_JOBS // 2))
    rows = [("a job that", "bytes"), *((kind, f"{size:,.0f}") for kind, size in found.items())]
    others = (
        f"An account without jobs takes {of_account:,.0f} bytes. Redis' file takes {share:.0%} of the memory.\n"
        f"A job of the last two minutes takes {remembered:,.0f} bytes of the worker that remembers it."
    )
    figures = {"memory": found, "account": of_account, "file_share": share, "remembered": remembered}
    return f"{aligned(rows)}\n\n{others}", figures


def _empty(client: redis.Redis) -> None:
    """Remove all keys. Newer servers would free their memory later, while it is measured."""
    run: Any = client.execute_command
    run("FLUSHALL", "SYNC")


def _growth(client: redis.Redis, jobs: int, fill: Callable[[Store, int], None], *hooks: Endpoint) -> float:
    """Return by how much Redis' memory grows with each job, beyond what the first ones need."""
    _empty(client)
    store = Store(client, *hooks)
    fill(store, WARM_UP)
    before = store.used_bytes()
    fill(store, jobs)
    return (store.used_bytes() - before) / jobs


def _published(store: Store, jobs: int) -> None:
    store.end(jobs)
    store.publish()


def _remembered(store: Store, jobs: int) -> None:
    _published(store, jobs)
    grow_older(store.client, HOUR)


def _delivered(store: Store, jobs: int) -> None:
    _published(store, jobs)
    store.deliver()
    grow_older(store.client, HOUR)


def _portions(jobs: int) -> Iterator[range]:
    return (range(min(BATCH, jobs - done)) for done in range(0, jobs, BATCH))
