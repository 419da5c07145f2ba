"""The ledger contract, kept by the ledger in memory and by the one on a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.contract.ledger_bench import LEASE_SECONDS, Bench
from tests.contract.ledger_contract import LedgerContract
from tests.contract.producers_contract import ProducersContract
from tests.doubles.clocks import FakeClock, StoredClock, read_time_from_keys
from tests.doubles.ledgers import redis_ledger
from tests.doubles.memory_ledger import MemoryLedger, Store
from worker.core.shards import SHARDS
from worker.redisio.cluster_client import nodes_of
from worker.redisio.connection import connect
from worker.state import keys
from worker.state.ledger import RedisLedger


class TestMemoryLedger(LedgerContract, ProducersContract):
    """The double keeps the contract, so that tests which use it tell the truth."""

    @pytest.fixture
    def bench(self) -> Bench:
        store, clock = Store(), FakeClock()
        return Bench(
            ledger=MemoryLedger(store, clock, lease_seconds=LEASE_SECONDS),
            other=MemoryLedger(store, clock, lease_seconds=LEASE_SECONDS),
            clock=clock,
            events=lambda: [event.body for _, event in store.outbox],
            deliveries=lambda: list(store.deliveries),
        )


class TestRedisLedger(LedgerContract, ProducersContract):
    """The real ledger keeps the contract; only the scripts' clock is the test's."""

    @pytest.fixture
    def bench(self, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
        read_time_from_keys(monkeypatch)
        with connect(redis_url) as client:
            clock = StoredClock(client)
            yield Bench(
                ledger=ledger(client, clock),
                other=ledger(client, clock),
                clock=clock,
                events=lambda: events(client),
                deliveries=lambda: deliveries(client),
            )


def ledger(client: redis.Redis, clock: FakeClock) -> RedisLedger:
    return redis_ledger(client, clock, lease_seconds=LEASE_SECONDS)


def events(client: redis.Redis) -> list[str]:
    """The events of jobs that have ended."""
    rows: list[Any] = []
    for shard in range(SHARDS):
        rows += client.lrange(keys.prefix(shard) + "outbox", 0, -1)
    return [row.partition(b" ")[2].decode() for row in rows if row.startswith(b"call.")]


def deliveries(client: redis.Redis) -> list[tuple[str, str]]:
    """The job and the endpoint of each delivery."""
    lanes: dict[str, Any] = {
        lane.decode(): node.client.zrange(lane, 0, -1)
        for node in nodes_of(client).all()
        for lane in node.client.scan_iter("*hook-lane:*")
    }
    return [
        (member.decode().split("|")[0], lane.rpartition("|")[2])
        for lane, members in lanes.items()
        for member in members
    ]
