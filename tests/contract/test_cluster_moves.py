"""Shards that move to another server of a Redis Cluster while jobs come."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from tests.cluster import Cluster
from tests.doubles.ledgers import redis_ledger
from tests.doubles.samples import account, application
from tests.processes import wait_until
from worker.core.records import Application, Later, Lease
from worker.errors import StoreUnavailable
from worker.redisio.cluster import slot_of
from worker.redisio.connection import connect
from worker.state import keys
from worker.state.ledger import RedisLedger

OWNERS = [account(f"account-{n}", rate="10000/s", burst=1000, concurrency=1000) for n in range(12)]
JOBS = 50
"""Of each account."""

Move = Callable[[Cluster, int, int, int], None]
"""Moves a slot from one server to another."""


@pytest.fixture
def client(cluster: Cluster) -> Iterator[redis.Redis]:
    with connect(cluster.url) as connected:
        yield connected


def key_by_key(cluster: Cluster, slot: int, source: int, target: int) -> None:
    """As `redis-cli --cluster reshard` does it."""
    cluster.begin_move(slot, source, target)
    while cluster.move_keys(slot, source, target, most=5):
        pass
    cluster.end_move(slot, source, target)


def at_once(cluster: Cluster, slot: int, source: int, target: int) -> None:
    """As Valkey 9 does it: the slot changes its server when all of its keys are there."""
    asked: Any = cluster.clients[source]
    try:
        asked.execute_command(
            "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", cluster.id_of(target)
        )
    except redis.ResponseError as error:
        pytest.skip(f"only Valkey 9 has CLUSTER MIGRATESLOTS: {error}")
    wait_until(lambda: cluster.owner_of(slot) == target, "the slot has moved")
    cluster.agree()


def put_all_on_record(ledger: RedisLedger, batch: list[Application]) -> list[Lease]:
    """Give jobs again until all are on record, as the intake does."""
    leases: list[Lease] = []
    left = batch

    def come() -> bool:
        try:
            answers = ledger.admit(left)
        except StoreUnavailable:
            return False
        leases.extend(answer for answer in answers if isinstance(answer, Lease))
        left[:] = [one for one, answer in zip(left, answers, strict=True) if isinstance(answer, Later)]
        return not left

    wait_until(come, "all are on record")
    return leases


@pytest.mark.parametrize("move", [key_by_key, at_once])
def test_no_job_is_lost_or_begun_twice_while_shards_move(
    cluster: Cluster, client: redis.Redis, move: Move
) -> None:
    """Each has its first lease, and each account has as many calls in flight as it was given."""
    ledger, leases = redis_ledger(client), list[Lease]()

    def intake() -> None:
        for n in range(0, JOBS, 2):
            batch = [application(f"{one.name}-{n + m}", one) for one in OWNERS for m in range(2)]
            leases.extend(put_all_on_record(ledger, batch))

    coming = threading.Thread(target=intake)
    coming.start()
    moved = []
    try:
        for prefix in sorted({keys.prefix_of(one.name) for one in OWNERS})[:5]:
            slot = slot_of(prefix)
            source = cluster.owner_of(slot)
            moved.append((slot, (source + 1) % 3, source))
            move(cluster, slot, source, (source + 1) % 3)
    finally:
        coming.join()
    assert sorted(lease.job.id for lease in leases) == sorted(
        f"{one.name}-{n}" for one in OWNERS for n in range(JOBS)
    )
    assert {(lease.fence, lease.tally.sent) for lease in leases} == {(1, 0)}
    counts = [client.hget(f"{keys.prefix_of(one.name)}limit:{one.name}", "inflight") for one in OWNERS]
    assert counts == [str(JOBS).encode()] * len(OWNERS)
    for slot, source, target in moved:
        cluster.move(slot, source, target)
